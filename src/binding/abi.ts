/**
 * What openssl.wasm exports, as `wasm/abi/abi.h` declares it: there is said who owns what. A pointer is a number,
 * valid in linear memory; an `int` or `size_t` is a number, a `uint64_t` a bigint. A test compares the names
 * with the module and with the header.
 */
export interface Abi {
  readonly memory: WebAssembly.Memory;
  wassl_abi_version(): number;
  wassl_OpenSSL_version(t: number): number;
  wassl_heap_malloc(n: number): number;
  wassl_heap_free(p: number): void;
  wassl_heap_used(): number;
  wassl_ERR_clear_error(): void;
  wassl_ERR_get_error(data: number): number;
  wassl_ERR_peek_error(): number;
  wassl_ERR_lib_error_string(value: number): number;
  wassl_ERR_reason_error_string(value: number): number;
  wassl_ERR_get_lib(value: number): number;
  wassl_ERR_get_reason(value: number): number;
  wassl_ERR_raise(lib: number, reason: number): void;
  wassl_BIO_new_bio_pair(internal: number, network: number, datagram: number, out: number): number;
  wassl_BIO_resize_bio_pair(
    internal: number,
    internalSize: number,
    network: number,
    networkSize: number,
  ): number;
  wassl_BIO_free(bio: number): void;
  wassl_BIO_read(bio: number, ptr: number, value: number): number;
  wassl_BIO_write(bio: number, ptr: number, value: number): number;
  wassl_BIO_nread0(bio: number, ptr: number): number;
  wassl_BIO_nread(bio: number, ptr: number, value: number): number;
  wassl_BIO_nwrite0(bio: number, ptr: number): number;
  wassl_BIO_nwrite(bio: number, ptr: number, value: number): number;
  wassl_BIO_ctrl_pending(bio: number): number;
  wassl_BIO_ctrl_wpending(bio: number): number;
  wassl_BIO_ctrl_get_write_guarantee(bio: number): number;
  wassl_BIO_ctrl_get_read_request(bio: number): number;
  wassl_BIO_shutdown_wr(bio: number): number;
  wassl_BIO_eof(bio: number): number;
  wassl_BIO_should_retry(bio: number): number;
  wassl_SSL_CTX_new(role: number): number;
  wassl_SSL_CTX_free(ctx: number): void;
  wassl_SSL_CTX_set_min_proto_version(ctx: number, value: number): number;
  wassl_SSL_CTX_set_max_proto_version(ctx: number, value: number): number;
  wassl_SSL_CTX_set_options(ctx: number, value: bigint): bigint;
  wassl_SSL_CTX_clear_options(ctx: number, value: bigint): bigint;
  wassl_SSL_CTX_get_options(ctx: number): bigint;
  wassl_SSL_CTX_set_mode(ctx: number, value: number): number;
  wassl_SSL_CTX_clear_mode(ctx: number, value: number): number;
  wassl_SSL_CTX_set_verify(ctx: number, mode: number): void;
  wassl_SSL_CTX_set_verify_depth(ctx: number, value: number): void;
  wassl_SSL_CTX_set_max_cert_list(ctx: number, value: number): void;
  wassl_SSL_CTX_set_security_level(ctx: number, value: number): void;
  wassl_SSL_CTX_get_security_level(ctx: number): number;
  wassl_SSL_CTX_set_cipher_list(ctx: number, ptr: number): number;
  wassl_SSL_CTX_set_ciphersuites(ctx: number, ptr: number): number;
  wassl_SSL_CTX_set1_groups_list(ctx: number, ptr: number): number;
  wassl_SSL_CTX_set1_sigalgs_list(ctx: number, ptr: number): number;
  wassl_SSL_CTX_set_alpn(ctx: number, ptr: number, length: number): number;
  wassl_SSL_CTX_send_ca_names(ctx: number): number;
  wassl_SSL_CTX_get_cert_store(ctx: number): number;
  wassl_SSL_CTX_get0_param(ctx: number): number;
  wassl_SSL_CTX_use_certificate_chain(ctx: number, ptr: number, length: number): number;
  wassl_SSL_CTX_use_PrivateKey(ctx: number, ptr: number, length: number, pass: number): number;
  wassl_SSL_CTX_use_PKCS12(ctx: number, ptr: number, length: number, pass: number): number;
  wassl_SSL_CTX_set_quiet_shutdown(ctx: number, value: number): void;
  wassl_SSL_CTX_get_quiet_shutdown(ctx: number): number;
  wassl_SSL_CTX_set_session_cache_mode(ctx: number, value: number): number;
  wassl_SSL_CTX_set_session_id_context(ctx: number, ptr: number, length: number): number;
  wassl_SSL_CTX_set_num_tickets(ctx: number, length: number): number;
  wassl_SSL_CTX_session_counter(ctx: number, which: number): number;
  wassl_SSL_CTX_set_psk(
    ctx: number,
    identity: number,
    key: number,
    keyLength: number,
    cipher: number,
  ): number;
  wassl_SSL_CTX_set_ocsp_response(ctx: number, ptr: number, length: number): number;
  wassl_SSL_CTX_request_ocsp_response(ctx: number): number;
  wassl_SSL_CTX_check_ocsp_response(ctx: number, required: number): number;
  wassl_SSL_get0_ocsp_response(ssl: number, length: number): number;
  wassl_SSL_new(ctx: number, internal: number): number;
  wassl_SSL_free(ssl: number): void;
  wassl_SSL_clear(ssl: number): number;
  wassl_SSL_set_connect_state(ssl: number): void;
  wassl_SSL_set_accept_state(ssl: number): void;
  wassl_SSL_do_handshake(ssl: number): number;
  wassl_SSL_connect(ssl: number): number;
  wassl_SSL_accept(ssl: number): number;
  wassl_SSL_read(ssl: number, ptr: number, value: number): number;
  wassl_SSL_peek(ssl: number, ptr: number, value: number): number;
  wassl_SSL_write(ssl: number, ptr: number, value: number): number;
  wassl_SSL_write_ex(ssl: number, ptr: number, length: number, written: number): number;
  wassl_SSL_shutdown(ssl: number): number;
  wassl_SSL_get_error(ssl: number, ret: number): number;
  wassl_try_handshake(ssl: number): number;
  wassl_try_read(ssl: number, ptr: number, value: number): number;
  wassl_try_peek(ssl: number, ptr: number, value: number): number;
  wassl_try_write(ssl: number, ptr: number, value: number): number;
  wassl_try_read_many(ssl: number, ptr: number, value: number): number;
  wassl_try_write_many(ssl: number, ptr: number, value: number): number;
  wassl_try_shutdown(ssl: number): number;
  wassl_SSL_dispatch_alert(ssl: number): number;
  wassl_SSL_get_shutdown(ssl: number): number;
  wassl_SSL_set_shutdown(ssl: number, value: number): void;
  wassl_SSL_set_quiet_shutdown(ssl: number, value: number): void;
  wassl_SSL_get_quiet_shutdown(ssl: number): number;
  wassl_SSL_pending(ssl: number): number;
  wassl_SSL_has_pending(ssl: number): number;
  wassl_SSL_want(ssl: number): number;
  wassl_SSL_is_init_finished(ssl: number): number;
  wassl_SSL_is_server(ssl: number): number;
  wassl_SSL_set_options(ssl: number, value: bigint): bigint;
  wassl_SSL_set_mode(ssl: number, value: number): number;
  wassl_SSL_clear_mode(ssl: number, value: number): number;
  wassl_SSL_set_post_handshake_auth(ssl: number, on: number): void;
  wassl_SSL_verify_client_post_handshake(ssl: number): number;
  wassl_SSL_key_update(ssl: number, type: number): number;
  wassl_SSL_renegotiate(ssl: number): number;
  wassl_SSL_new_session_ticket(ssl: number): number;
  wassl_DTLSv1_get_timeout(ssl: number): number;
  wassl_DTLSv1_handle_timeout(ssl: number): number;
  wassl_SSL_set_mtu(ssl: number, value: number): number;
  wassl_SSL_set_tlsext_host_name(ssl: number, ptr: number): number;
  wassl_SSL_set1_host(ssl: number, ptr: number): number;
  wassl_SSL_set1_ip_asc(ssl: number, ptr: number): number;
  wassl_SSL_get_version(ssl: number): number;
  wassl_SSL_get_cipher_name(ssl: number): number;
  wassl_SSL_get0_group_name(ssl: number): number;
  wassl_SSL_get0_peer_signature_name(ssl: number): number;
  wassl_SSL_get_servername(ssl: number): number;
  wassl_SSL_get0_alpn_selected(ssl: number, length: number): number;
  wassl_SSL_session_reused(ssl: number): number;
  wassl_SSL_peer_certificate_count(ssl: number): number;
  wassl_SSL_get0_peer_certificate(ssl: number, index: number): number;
  wassl_SSL_get0_verified_chain(ssl: number): number;
  wassl_SSL_get_verify_result(ssl: number): number;
  wassl_SSL_verify_error(ssl: number): number;
  wassl_SSL_verify_depth(ssl: number): number;
  wassl_SSL_verify_certificate(ssl: number): number;
  wassl_X509_verify_cert_error_string(value: number): number;
  wassl_SSL_take_events(ssl: number): number;
  wassl_SSL_alert_desc_string_long(value: number): number;
  wassl_SSL_CTX_suspend_client_hello(ctx: number): void;
  wassl_SSL_get_client_hello(ssl: number): number;
  wassl_SSL_answer_client_hello(ssl: number, ctx: number, alert: number): number;
  wassl_SSL_suspend_verify(ssl: number, mode: number): number;
  wassl_SSL_answer_verify(ssl: number, accept: number): number;
  wassl_SSL_CTX_get0_certificate(ctx: number): number;
  wassl_SSL_CTX_use_external_key(ctx: number, id: number, ptr: number, count: number): number;
  wassl_SSL_get_to_be_signed(ssl: number, algorithm: number, id: number): number;
  wassl_SSL_answer_signature(ssl: number, ptr: number, length: number): number;
  wassl_SSL_get1_session(ssl: number): number;
  wassl_SSL_set_session(ssl: number, session: number): number;
  wassl_SSL_CTX_remove_session(ssl: number): number;
  wassl_SSL_SESSION_free(session: number): void;
  wassl_SSL_SESSION_is_resumable(session: number): number;
  wassl_SSL_SESSION_get_protocol_version(session: number): number;
  wassl_i2d_SSL_SESSION(session: number, withChain: number): number;
  wassl_SSL_verify_session(ssl: number, session: number): number;
  wassl_SSL_SESSION_set_mark(session: number, ptr: number, length: number): number;
  wassl_SSL_SESSION_get0_mark(session: number, length: number): number;
  wassl_SSL_CTX_verify_resumed(ctx: number): void;
  wassl_SHA256(ptr: number, length: number, out: number): void;
  wassl_d2i_SSL_SESSION(ptr: number, length: number): number;
  wassl_SSL_CTX_set_timeout(ctx: number, seconds: number): void;
  wassl_SSL_CTX_set_ticket_keys(ctx: number, ptr: number, count: number): number;
  wassl_SSL_CTX_keep_new_sessions(ctx: number, on: number): void;
  wassl_SSL_take_new_session(ssl: number): number;
  wassl_SSL_CTX_set_keylog(ctx: number, on: number): void;
  wassl_SSL_CTX_set_trace(ctx: number, on: number): void;
  wassl_SSL_set_trace(ssl: number, on: number): void;
  wassl_SSL_export_keying_material(
    ssl: number,
    length: number,
    label: number,
    context: number,
    contextLength: number,
  ): number;
  wassl_SSL_get_extms_support(ssl: number): number;
  wassl_SSL_server_end_point(ssl: number): number;
  wassl_SSL_SESSION_get_time(session: number): number;
  wassl_SSL_SESSION_get_timeout(session: number): number;
  wassl_SSL_SESSION_has_ticket(session: number): number;
  wassl_SSL_SESSION_get_ticket_lifetime_hint(session: number): number;
  wassl_SSL_SESSION_get_max_early_data(session: number): number;
  wassl_SSL_SESSION_get0_hostname(session: number): number;
  wassl_SSL_SESSION_get0_alpn_selected(session: number, length: number): number;
  wassl_SSL_SESSION_get0_peer(session: number): number;
  wassl_SSL_CTX_set_max_early_data(ctx: number, value: number): number;
  wassl_SSL_CTX_set_recv_max_early_data(ctx: number, value: number): number;
  wassl_SSL_get_early_data_status(ssl: number): number;
  wassl_SSL_write_early_data(ssl: number, ptr: number, length: number, written: number): number;
  wassl_SSL_read_early_data(ssl: number, ptr: number, length: number, read: number): number;
  wassl_try_write_early_data(ssl: number, ptr: number, value: number): number;
  wassl_try_read_early_data(ssl: number, ptr: number, value: number): number;
  wassl_d2i_X509(ptr: number, length: number): number;
  wassl_X509_free(x509: number): void;
  wassl_i2d_X509(x509: number): number;
  wassl_X509_subject(x509: number): number;
  wassl_X509_issuer(x509: number): number;
  wassl_X509_subject_alt_names(x509: number): number;
  wassl_X509_serial(x509: number): number;
  wassl_X509_public_key(x509: number): number;
  wassl_i2d_X509_PUBKEY(x509: number): number;
  wassl_X509_sha1(x509: number): number;
  wassl_X509_sha256(x509: number): number;
  wassl_X509_not_before(x509: number): number;
  wassl_X509_not_after(x509: number): number;
  wassl_sk_X509_new(): number;
  wassl_sk_X509_free(list: number): void;
  wassl_sk_X509_add(list: number, ptr: number, length: number): number;
  wassl_sk_X509_num(list: number): number;
  wassl_sk_X509_value(list: number, index: number): number;
  wassl_X509_STORE_new(): number;
  wassl_X509_STORE_free(store: number): void;
  wassl_X509_STORE_get0_param(store: number): number;
  wassl_X509_STORE_add_ca(store: number, ptr: number, length: number): number;
  wassl_X509_STORE_add_crl(store: number, ptr: number, length: number): number;
  wassl_anchors_new(base64: number): number;
  wassl_anchors_count(table: number): number;
  wassl_anchors_certificate(table: number, index: number): number;
  wassl_X509_STORE_add_anchors(store: number, table: number): number;
  wassl_X509_VERIFY_PARAM_set_time(param: number, seconds: number): void;
  wassl_X509_VERIFY_PARAM_set_depth(param: number, value: number): void;
  wassl_X509_VERIFY_PARAM_set_flags(param: number, value: number): void;
  wassl_X509_VERIFY_PARAM_set_hostflags(param: number, value: number): void;
  wassl_X509_VERIFY_PARAM_set_auth_level(param: number, value: number): void;
  wassl_X509_VERIFY_PARAM_set_purpose(param: number, ptr: number): number;
  wassl_X509_VERIFY_PARAM_add_policy(param: number, ptr: number): number;
  wassl_X509_VERIFY_PARAM_set1_host(param: number, ptr: number): number;
  wassl_X509_VERIFY_PARAM_set1_ip_asc(param: number, ptr: number): number;
  wassl_X509_VERIFY_PARAM_set1_email(param: number, ptr: number): number;
  wassl_X509_verify_cert(store: number, certificates: number): number;
  wassl_verification_free(verification: number): void;
  wassl_verification_chain(verification: number): number;
  wassl_verification_failures(verification: number): number;
  wassl_verification_error(verification: number, index: number): number;
  wassl_verification_depth(verification: number, index: number): number;
  wassl_verification_certificate(verification: number, index: number): number;
}

/** The version of `abi.h` that this code was written for. */
export const ABI_VERSION = 1;
