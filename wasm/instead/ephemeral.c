/* OpenSSL keeps the keys of the key exchange until the next handshake: with ML-KEM a quarter of an idle connection. */
#include "internal.h"

#include "internal/ssl_unwrap.h"
#include "ssl/ssl_local.h"

static void forget(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
    *key = NULL;
}

/* As in ssl3_free. What they agreed on is safe from whoever sees this memory later (forward secrecy). */
void wassl_forget_key_exchange(SSL *ssl)
{
    SSL_CONNECTION *s = SSL_CONNECTION_FROM_SSL(ssl);
    size_t i;

    if (s == NULL)
        return;
    forget(&s->s3.peer_tmp);
    for (i = 0; i < s->s3.tmp.num_ks_pkey; i++) {
        if (s->s3.tmp.pkey == s->s3.tmp.ks_pkey[i])
            s->s3.tmp.pkey = NULL;
        forget(&s->s3.tmp.ks_pkey[i]);
    }
    s->s3.tmp.num_ks_pkey = 0;
    forget(&s->s3.tmp.pkey);
}
