/**
 * What the types of the ABI refuse. Nothing here runs: "npm run types" compiles it, and fails where a line is not
 * refused that says so.
 */
import type { Abi } from "../../src/binding/abi.ts";
import type { Memory } from "../../src/binding/memory.ts";
import { type Borrowed, bool, Held, lend, type Out, type Owned } from "../../src/binding/pointers.ts";
import type { Library } from "../../src/openssl/library.ts";

declare const abi: Abi;
declare const library: Library;
declare const memory: Memory;
declare const ctx: Borrowed<"SSL_CTX">;
declare const ssl: Borrowed<"SSL">;
declare const list: Borrowed<"STACK_OF(X509)">;

export function objects(number: number): void {
  abi.wassl_SSL_CTX_set_verify(ctx, 1);
  // @ts-expect-error another type of object
  abi.wassl_SSL_CTX_set_verify(ssl, 1);
  // @ts-expect-error a number is no address
  abi.wassl_SSL_CTX_set_verify(number, 1);
  // @ts-expect-error the other order
  abi.wassl_SSL_set_session(abi.wassl_SSL_get1_session(ssl), ssl);
}

export function nothing(): void {
  const certificate = abi.wassl_SSL_verify_certificate(ssl, 0);
  // @ts-expect-error it may be 0
  abi.wassl_i2d_X509(certificate);
  if (certificate !== 0) abi.wassl_i2d_X509(certificate);
  // Never 0, as the header says.
  abi.wassl_i2d_X509(abi.wassl_sk_X509_value(list, 0));
  // @ts-expect-error and this one must not be 0
  abi.wassl_SSL_free(0);
}

export function memories(): void {
  memory.withText("name", (name) => abi.wassl_SSL_set1_host(ssl, name));
  // @ts-expect-error bytes need not end with a NUL
  memory.withBytes(new Uint8Array(1), (bytes) => abi.wassl_SSL_set1_host(ssl, bytes));
  // @ts-expect-error a text is no buffer
  memory.withText("name", (name) => abi.wassl_SSL_read(ssl, name, 1));
  // @ts-expect-error where a number is put is no buffer
  abi.wassl_SSL_read(ssl, memory.slot<number>(), 4);
  const length: Out<number> = memory.slot();
  abi.wassl_SSL_get0_alpn_selected(ssl, length);
  // @ts-expect-error a length is put there, and no address
  memory.view(memory.result(length), 1);
  // @ts-expect-error where an address is put, no number is
  abi.wassl_SSL_get0_alpn_selected(ssl, memory.slot<Borrowed<"bytes">>());
}

export function owners(made: Owned<"X509">, events: Owned<"wassl_bytes">): void {
  const borrowed: Borrowed<"X509"> = lend(made);
  // @ts-expect-error what is borrowed is not freed
  abi.wassl_X509_free(borrowed);
  // @ts-expect-error what is owned is not lost in a borrowed pointer
  const lost: Borrowed<"X509"> = made;
  // @ts-expect-error nor in a call that only looks at it
  abi.wassl_i2d_X509(made);
  // @ts-expect-error nor in a call inside of a call
  memory.text(abi.wassl_SSL_take_events(ssl));
  // @ts-expect-error each has its own function that frees it
  abi.wassl_heap_free(events);
  // @ts-expect-error what the context has is not the caller's to hold
  new Held(abi.wassl_SSL_CTX_get_cert_store(ctx));
  void lost;
}

export function held(made: Owned<"X509">): void {
  const x509: Held<"X509"> = new Held(made);
  abi.wassl_i2d_X509(x509.ptr);
  // @ts-expect-error it is freed as what it is
  x509.giveTo(abi.wassl_SSL_CTX_free);
}

export function afterFree(made: Owned<"X509">): void {
  const x509: Held<"X509"> = new Held(made);
  x509.giveTo(abi.wassl_X509_free);
  // @ts-expect-error use after free
  abi.wassl_i2d_X509(x509.ptr);
}

export function freeTwice(made: Owned<"X509">): void {
  const x509: Held<"X509"> = new Held(made);
  x509.giveTo(abi.wassl_X509_free);
  // @ts-expect-error it was given away
  x509.giveTo(abi.wassl_X509_free);
}

export function afterTake(bio: Owned<"BIO">): void {
  const internal: Held<"BIO"> = new Held(bio);
  internal.giveTo((half) => abi.wassl_SSL_new(ctx, half));
  // @ts-expect-error the SSL has it
  abi.wassl_BIO_ctrl_pending(internal.ptr);
}

export function inOneBranch(made: Owned<"X509">, early: boolean): void {
  const x509: Held<"X509"> = new Held(made);
  if (early) {
    x509.giveTo(abi.wassl_X509_free);
    return;
  }
  abi.wassl_i2d_X509(x509.ptr);
  x509.giveTo(abi.wassl_X509_free);
}

export function withoutType(made: Owned<"X509">): void {
  const x509 = new Held(made);
  // @ts-expect-error the compiler would not see that it is given away
  x509.giveTo(abi.wassl_X509_free);
}

export function answers(on: boolean): void {
  abi.wassl_SSL_CTX_set_quiet_shutdown(ctx, bool(on));
  // @ts-expect-error neither true nor 2 is 1
  abi.wassl_SSL_CTX_set_quiet_shutdown(ctx, on);
  // @ts-expect-error as above
  abi.wassl_SSL_CTX_set_quiet_shutdown(ctx, 2);
  // @ts-expect-error it answers 0 or 1
  if (abi.wassl_SSL_is_server(ssl) === -1) return;
  // @ts-expect-error options are 64 bits
  abi.wassl_SSL_set_options(ssl, 1);

  library.check(abi.wassl_SSL_key_update(ssl, 0), "no KeyUpdate");
  library.check(abi.wassl_sk_X509_add(list, memory.scratch, 0), "no certificate");
  const made: Owned<"X509_STORE"> = library.check(abi.wassl_X509_STORE_new(), "no store");
  void made;
  // @ts-expect-error no bytes that wait are no failure
  library.check(abi.wassl_SSL_pending(ssl), "nothing waits");
  // @ts-expect-error a no is no failure
  library.check(abi.wassl_SSL_session_reused(ssl), "no session");
  // @ts-expect-error nor is a function that answers nothing
  library.check(abi.wassl_SSL_set_accept_state(ssl), "no server");
}
