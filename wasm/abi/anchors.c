/*
 * Many trust anchors in one block that all stores share (layout in abi.h), as an X509_LOOKUP: OpenSSL asks for a
 * subject when it looks for an issuer, and only the anchors of that subject are parsed. They stay in the store, as with
 * by_dir. Some are trusted for certificates up to a date: that is looked at when a chain is there, see
 * not_after_its_date().
 */
#include "internal.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <string.h>

/* A block; or an anchor that the store was given by itself, which no block's date concerns. */
typedef struct set {
    const uint8_t *table;
    X509 *given;
    struct set *next;
} set;

static int sets_index = -1; /* ex_data of X509_STORE: a list of sets */
static X509_LOOKUP_METHOD *method;
static X509_STORE_CTX_check_revocation_fn check_revocation; /* OpenSSL's own */

static uint32_t word(const uint8_t *table, uint32_t i)
{
    const uint8_t *p = table + (size_t)i * 4;

    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/*
 * The words of an anchor: hash, end. After those of all, the words of those that have a date: which one, seconds since
 * 1970.
 */
#define HASH(i) (2 + (i) * 2)
#define END(i) (3 + (i) * 2)
#define DATED(table, i) (2 + word(table, 0) * 2 + (i) * 2)

static const uint8_t *certificate(const uint8_t *table, uint32_t i, uint32_t *length)
{
    uint32_t begin = i == 0 ? 0 : word(table, END(i - 1));

    *length = word(table, END(i)) - begin;
    return table + (size_t)DATED(table, word(table, 1)) * 4 + begin;
}

/* Nothing else looks at the bounds. */
static int is_sound(const uint8_t *table, size_t length)
{
    uint32_t count, dated, i, end = 0, hash = 0;

    if (length < 8 || (count = word(table, 0)) > (length - 8) / 8 || (dated = word(table, 1)) > (length - 8) / 8 - count)
        return 0;
    length -= 8 + ((size_t)count + dated) * 8;
    for (i = 0; i < count; i++) {
        if (word(table, HASH(i)) < hash || word(table, END(i)) <= end || word(table, END(i)) > length)
            return 0;
        hash = word(table, HASH(i));
        end = word(table, END(i));
    }
    for (i = 0; i < dated; i++)
        if (word(table, DATED(table, i)) >= count)
            return 0;
    return end == length;
}

EXPORT uint8_t *wassl_anchors_new(const char *base64)
{
    int length = (int)strlen(base64), first = 0, last = 0;
    uint8_t *table = malloc((size_t)length / 4 * 3 + 3);
    EVP_ENCODE_CTX *ctx = EVP_ENCODE_CTX_new();

    if (table == NULL || ctx == NULL) {
        ERR_raise(ERR_LIB_X509, ERR_R_MALLOC_FAILURE);
    } else {
        EVP_DecodeInit(ctx);
        if (EVP_DecodeUpdate(ctx, table, &first, (const unsigned char *)base64, length) >= 0
            && EVP_DecodeFinal(ctx, table + first, &last) == 1 && is_sound(table, (size_t)(first + last))) {
            uint8_t *exact = realloc(table, (size_t)(first + last)); /* there were line breaks */

            EVP_ENCODE_CTX_free(ctx);
            return exact == NULL ? table : exact;
        }
    }
    EVP_ENCODE_CTX_free(ctx);
    free(table);
    return NULL;
}

EXPORT uint32_t wassl_anchors_count(const uint8_t *table) { return word(table, 0); }

EXPORT X509 *wassl_anchors_certificate(const uint8_t *table, uint32_t i)
{
    uint32_t length;
    const unsigned char *p = certificate(table, i, &length);

    return d2i_X509(NULL, &p, (long)length);
}

/* Of the entries that are ordered by hash, the first with this one or a greater one. */
static uint32_t first_with(const uint8_t *table, uint32_t hash)
{
    uint32_t low = 0, high = word(table, 0);

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (word(table, HASH(middle)) < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Two names may have one hash. That does no harm: the store looks at the name again. */
static int add_entry(X509_STORE *store, const uint8_t *table, uint32_t i)
{
    X509 *x = wassl_anchors_certificate(table, i);
    int ok = x != NULL && X509_STORE_add_cert(store, x);

    X509_free(x);
    return ok;
}

int wassl_anchors_load(X509_STORE *store, const X509_NAME *subject)
{
    const set *s = X509_STORE_get_ex_data(store, sets_index);
    uint32_t hash, i;
    int hashed = 1;

    while (s != NULL && s->table == NULL)
        s = s->next;
    if (s == NULL)
        return 1;
    hash = (uint32_t)X509_NAME_hash_ex(subject, NULL, NULL, &hashed);
    if (!hashed)
        return 0;
    for (; s != NULL; s = s->next) {
        if (s->table == NULL)
            continue;
        for (i = first_with(s->table, hash); i < word(s->table, 0) && word(s->table, HASH(i)) == hash; i++)
            if (!add_entry(store, s->table, i))
                return 0;
    }
    return 1;
}

/*
 * Asked when the store has nothing of this subject. All anchors that have it are put there; *found borrows the first.
 */
static int by_subject(X509_LOOKUP *lookup, X509_LOOKUP_TYPE type, const X509_NAME *subject, X509_OBJECT *found)
{
    X509_STORE *store = X509_LOOKUP_get_store(lookup);
    X509_OBJECT *object;
    X509 *x;

    if (type != X509_LU_X509 || !wassl_anchors_load(store, subject))
        return 0;
    object = X509_OBJECT_retrieve_by_subject(X509_STORE_get0_objects(store), type, subject);
    if (object == NULL || (x = X509_OBJECT_get0_X509(object)) == NULL || !X509_OBJECT_set1_X509(found, x))
        return 0;
    X509_free(x); /* whoever asked takes a reference of its own */
    return 1;
}

static void free_sets(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    set *s = p;

    while (s != NULL) {
        set *next = s->next;

        X509_free(s->given);
        OPENSSL_free(s);
        s = next;
    }
}

/*
 * Up to when leaves are trusted that lead to this anchor. 0: without end; the store may have been given it by itself.
 */
static time_t date_of(const set *s, X509 *anchor)
{
    uint8_t *own = NULL;
    int own_length = i2d_X509(anchor, &own);
    time_t date = own_length > 0 ? 0 : 1; /* memory is exhausted: nothing is trusted */
    uint32_t i, length;

    for (; s != NULL; s = s->next) {
        if (s->given != NULL && X509_cmp(s->given, anchor) == 0) {
            date = 0;
            break;
        }
        for (i = 0; s->table != NULL && i < word(s->table, 1); i++) {
            const uint8_t *der = certificate(s->table, word(s->table, DATED(s->table, i)), &length);

            if ((uint32_t)own_length != length || memcmp(own, der, length) != 0)
                continue;
            if (date == 0 || (time_t)word(s->table, DATED(s->table, i) + 1) < date)
                date = word(s->table, DATED(s->table, i) + 1);
        }
    }
    OPENSSL_free(own);
    return date;
}

/*
 * OpenSSL asks after revocation when a chain that leads to an anchor is there, and stops where that is 0. Of a CRL's
 * own path no leaf is a server's.
 */
static int not_after_its_date(X509_STORE_CTX *ctx)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    int last = sk_X509_num(chain) - 1;
    const set *sets = X509_STORE_get_ex_data(X509_STORE_CTX_get0_store(ctx), sets_index);
    time_t date;

    if (last > 0 && X509_STORE_CTX_get0_parent_ctx(ctx) == NULL
        && (date = date_of(sets, sk_X509_value(chain, last))) != 0
        && ASN1_TIME_cmp_time_t(X509_get0_notBefore(sk_X509_value(chain, 0)), date) > 0) {
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_CERT_REJECTED);
        X509_STORE_CTX_set_error_depth(ctx, last);
        X509_STORE_CTX_set_current_cert(ctx, sk_X509_value(chain, last));
        if (!X509_STORE_CTX_get_verify_cb(ctx)(0, ctx))
            return 0;
    }
    return check_revocation(ctx);
}

int wassl_anchors_init(void)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();

    if (store != NULL && ctx != NULL && X509_STORE_CTX_init(ctx, store, NULL, NULL))
        check_revocation = X509_STORE_CTX_get_check_revocation(ctx);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    sets_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_X509_STORE, 0, NULL, NULL, NULL, free_sets);
    method = X509_LOOKUP_meth_new("anchors");
    return check_revocation != NULL && sets_index >= 0 && method != NULL && X509_LOOKUP_meth_set_get_by_subject(method, by_subject);
}

static int add_set(X509_STORE *store, const uint8_t *table, X509 *given)
{
    set *s = OPENSSL_malloc(sizeof *s);

    if (s == NULL)
        return 0;
    *s = (set){ table, given, X509_STORE_get_ex_data(store, sets_index) };
    if (!X509_STORE_set_ex_data(store, sets_index, s)) {
        OPENSSL_free(s);
        return 0;
    }
    if (given != NULL)
        X509_up_ref(given);
    return 1;
}

int wassl_anchors_given(X509_STORE *store, X509 *anchor) { return add_set(store, NULL, anchor); }

EXPORT int wassl_X509_STORE_add_anchors(X509_STORE *store, const uint8_t *table)
{
    const set *s;
    STACK_OF(X509) *others;
    int i, ok = 1;

    for (s = X509_STORE_get_ex_data(store, sets_index); s != NULL; s = s->next)
        if (s->table == table)
            return 1;
    if (X509_STORE_add_lookup(store, method) == NULL || !add_set(store, table, NULL))
        return 0;
    X509_STORE_set_check_revocation(store, not_after_its_date);
    /* OpenSSL asks for no subject of which it has a certificate: those come now. */
    if ((others = X509_STORE_get1_all_certs(store)) == NULL)
        return 0;
    for (i = 0; ok && i < sk_X509_num(others); i++)
        ok = wassl_anchors_load(store, X509_get_subject_name(sk_X509_value(others, i)));
    OSSL_STACK_OF_X509_free(others);
    return ok;
}
