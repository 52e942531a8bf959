/*
 * For the tests: wasm/kernels/montgomery.c, or in the other module what OpenSSL has there, called with numbers of a fixed count of
 * words, as OpenSSL does with what is secret. By their own names these functions could not be exported, since they are wrapped.
 */
#include "crypto/bn.h"
#include "crypto/bn/bn_local.h"

int multiply_words(BN_ULONG *r, const BN_ULONG *a, const BN_ULONG *b, const BN_ULONG *n, const BN_ULONG *n0, int num)
{
    return bn_mul_mont(r, a, b, n, n0, num);
}

/* As many words as are told, whatever they are: how OpenSSL keeps what is secret. */
BIGNUM *fixed_number(const BN_ULONG *words, int num)
{
    BIGNUM *x = BN_new();

    if (x == NULL || !bn_set_words(x, words, num))
        return NULL;
    x->top = num;
    x->flags |= BN_FLG_FIXED_TOP | BN_FLG_CONSTTIME;
    return x;
}

/* In as much memory, but of as many words as it takes: how OpenSSL keeps private keys of curves. */
BIGNUM *counted_number(const BN_ULONG *words, int num)
{
    BIGNUM *x = fixed_number(words, num);

    if (x != NULL)
        bn_correct_top(x);
    return x;
}

/* r[i] = a[i] ^ p[i] mod m[i], for two of them that lie one after the other; r may be a. */
int raise_words(BN_ULONG *r, const BN_ULONG *a, const BN_ULONG *p, const BN_ULONG *m, int num, int top)
{
    BN_CTX *ctx = BN_CTX_new();
    BN_MONT_CTX *mont[2];
    BIGNUM *base[2], *exponent[2], *modulus[2];
    int ok = 1;

    for (int i = 0; i < 2; i++) {
        base[i] = fixed_number(a + i * num, num);
        exponent[i] = fixed_number(p + i * num, top);
        modulus[i] = fixed_number(m + i * num, num);
        mont[i] = BN_MONT_CTX_new();
        ok &= BN_MONT_CTX_set(mont[i], modulus[i], ctx);
    }
    ok &= BN_mod_exp_mont_consttime_x2(base[0], base[0], exponent[0], modulus[0], mont[0], base[1], base[1], exponent[1],
        modulus[1], mont[1], ctx);
    for (int i = 0; i < 2; i++) {
        ok &= bn_copy_words(r + i * num, base[i], num);
        BN_clear_free(base[i]);
        BN_clear_free(exponent[i]);
        BN_clear_free(modulus[i]);
        BN_MONT_CTX_free(mont[i]);
    }
    BN_CTX_free(ctx);
    return ok;
}

/* What a test of timing has to find. */
int leaky_compare(const unsigned char *a, const unsigned char *b, int length)
{
    for (int i = 0; i < length; i++)
        if (a[i] != b[i])
            return 0;
    return 1;
}
