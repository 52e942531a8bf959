/** Which of BoGo's tests are left out, and which end otherwise than with BoringSSL, and why. */

/** By the runner's globs: it does not start them. */
export const excluded: Record<string, string> = {
  "*DTLS*": "DTLS is that of wassl/openssl, and not of the streams that are tested here",
  "*QUIC*": "no QUIC",
  "*ECH*": "no Encrypted Client Hello",
  "*SSL3*": "no SSL 3.0",
  "*TLS1-*": "no TLS 1.0",
  "*TLS11-*": "no TLS 1.1",
  "*TLS1": "no TLS 1.0",
  "*TLS11": "no TLS 1.1",
  "*TLS10*": "no TLS 1.0",
  "*3DES*": "no 3DES",
  "*SHA1*": "signatures with SHA-1 are refused unless they are asked for",
  "*P224*": "no P-224",
  "*JDK11*": "a workaround of BoringSSL's own",
  "*Split*": "no handshake that is handed to another process",
  "*Hints*": "the same",
  "*-Handoff*": "the same",
};

const only = (...names: string[]) => new RegExp(`^(?:${names.join("|")})$`);

/** Each ends otherwise than with BoringSSL: so said both ends, and so much is known of why. */
export const known: { tests: RegExp; why: string }[] = [
  {
    tests: only(
      "ECDSAKeyUsage-Client-TLS13",
      "ECDSAKeyUsage-Server-TLS12",
      "ECDSAKeyUsage-Server-TLS13",
      "RSAKeyUsage-Client-WantEncipherment-GotSignature-TLS12",
      "RSAKeyUsage-Client-WantSignature-GotEncipherment-TLS12",
      "RSAKeyUsage-Client-WantSignature-GotEncipherment-TLS13",
      "RSAKeyUsage-Server-WantSignature-GotEncipherment-TLS12",
      "RSAKeyUsage-Server-WantSignature-GotEncipherment-TLS13",
    ),
    why: "the shim verifies no certificate, and what a key may be used for is checked with the certificate",
  },
  {
    tests: only(
      "DuplicateCertCompressionExt-TLS12",
      "DuplicateCertCompressionExt-TLS13",
      "DuplicateExtensionClient-TLS-TLS12",
      "DuplicateExtensionClient-TLS-TLS13",
      "DuplicateExtensionServer-TLS-TLS12",
      "DuplicateExtensionServer-TLS-TLS13",
      "DuplicateKeyShares-TLS13",
      "PointFormat-Client-MissingUncompressed",
      "PointFormat-Server-MissingUncompressed",
      "RequestContextInHandshake-TLS13",
      "SendUnknownExtensionOnCertificate-TLS13",
      "SendUnsolicitedSCTOnCertificate-TLS13",
      "UnknownExtension-Client",
      "UnknownExtension-Client-TLS13",
      "UnknownUnencryptedExtension-Client-TLS13",
    ),
    why: "OpenSSL takes or ignores extensions that are there twice, are unknown, or say what nobody asked for; BoringSSL ends the connection",
  },
  {
    tests: only(
      "Resume-Server-ExtraIdentityNoBinder",
      "Resume-Server-ExtraIdentityNoBinder-SecondBinder",
      "Resume-Server-ExtraPSKBinder",
      "Resume-Server-ExtraPSKBinder-SecondBinder",
    ),
    why: "OpenSSL looks at the identity that it resumes and its binder, and not at how many others there are",
  },
  {
    tests: only(
      "LargePlaintext-TLS13-Padded-16384-1",
      "LargePlaintext-TLS13-Padded-8193-8192",
      "PartialClientKeyExchangeWithClientHello",
      "PartialNewSessionTicketWithServerHelloDone",
      "PartialServerHelloWithHelloRetryRequest",
      "SkipEarlyData-TooMuchData-TLS13",
      "TooManyKeyUpdates",
      "TrailingDataWithFinished-Client-TLS12",
      "TrailingDataWithFinished-Resume-Client-TLS12",
      "TrailingDataWithFinished-Resume-Server-TLS12",
      "TrailingDataWithFinished-Server-TLS12",
    ),
    why: "OpenSSL takes messages that share a record across a flight, more padding, more skipped early data and any number of KeyUpdates; BoringSSL has bounds of its own",
  },
  {
    tests: only("Renegotiate-Client-NoIgnore", "StrayHelloRequest", "StrayHelloRequest-Packed"),
    why: "OpenSSL answers a request to renegotiate with a warning, and goes on",
  },
  {
    tests: only(
      "EarlyData-CipherMismatch-Client-TLS13",
      "EchoTLS13CompatibilitySessionID",
      "Ed25519DefaultDisable-NoAccept",
      "Ed25519DefaultDisable-NoAdvertise",
      "HelloRetryRequestVersionMismatch-TLS13",
      "ServerBogusVersion",
    ),
    why: "OpenSSL takes what BoringSSL refuses",
  },
  {
    tests: only(
      "Renegotiate-Client-Forbidden-1",
      "Renegotiate-ForbidAfterHandshake",
      "Renegotiate-Server-Forbidden",
    ),
    why: "the same warning, where the runner waits for a fatal alert",
  },
  {
    tests: only(
      "ALPNClient-RejectUnknown-TLS-TLS12",
      "ALPNClient-RejectUnknown-TLS-TLS13",
      "Client-TooLongSessionID",
      "ClientAuth-NoFallback-ECDSA",
      "ClientAuth-NoFallback-RSA",
      "EncryptedExtensionsWithKeyShare-TLS13",
      "FallbackSCSV",
      "GarbageCertificate-Client-TLS12",
      "GarbageCertificate-Client-TLS13",
      "HelloRetryRequest-Unknown-TLS13",
      "Resume-Server-BinderWrongLength",
      "Resume-Server-BinderWrongLength-SecondBinder",
      "SkipEarlyData-SecondClientHelloEarlyData-TLS13",
      "TLS13-HRR-InvalidCompressionMethod",
      "TrailingMessageData-ClientFinished-TLS",
      "TrailingMessageData-ServerFinished-TLS",
      "TrailingMessageData-ServerHelloDone-TLS",
      "TrailingMessageData-TLS13-ClientFinished-TLS",
      "TrailingMessageData-TLS13-EndOfEarlyData-TLS",
      "TrailingMessageData-TLS13-ServerFinished-TLS",
    ),
    why: "refused as well, with another alert",
  },
  {
    tests: only(
      "Client-Sign-RSA_PKCS1_SHA256-TLS13",
      "Client-Sign-RSA_PKCS1_SHA384-TLS13",
      "Client-Sign-RSA_PKCS1_SHA512-TLS13",
    ),
    why: "a client that can make no signature that the server takes shows no certificate, and goes on",
  },
  {
    tests: only("SendBogusAlertType", "SendWarningAlerts-TLS13"),
    why: "in TLS 1.3 the level of an alert says nothing (RFC 8446 §6): OpenSSL takes it for what its description says, and ends without an answer",
  },
  {
    tests: only(
      "TLS-TLS12-ECDHE_PSK_WITH_AES_128_CBC_SHA-server",
      "TLS-TLS12-ECDHE_PSK_WITH_AES_256_CBC_SHA-server",
      "TLS-TLS12-ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256-server",
      "TLS-TLS12-PSK_WITH_AES_128_CBC_SHA-server",
      "TLS-TLS12-PSK_WITH_AES_256_CBC_SHA-server",
    ),
    why: "the runner wants the identity in the hint of a TLS 1.2 server",
  },
  {
    tests: /^TLS13-EarlyData-TooMuchData-Client-/,
    why: "the early data is more than the session allows, so startTls offers none of it; BoringSSL's client sends a part",
  },
  {
    tests: only("EmptyExtensions-ServerHello-TLS12", "OmitExtensions-ServerHello-TLS12"),
    why: "a server without RFC 5746 is refused unless legacyServerConnect is given",
  },
  {
    tests: only("MaxSendFragment-TLS13", "PackedEncryptedHandshake-TLS13"),
    why: "OpenSSL puts each message of the handshake into a record of its own",
  },
  {
    tests: only("GREASE-Server-TLS13"),
    why: "OpenSSL sends no GREASE",
  },
  {
    tests: only("KeyUpdate-RequestACK"),
    why: "OpenSSL answers each KeyUpdate that asks for an answer; one for several is what RFC 8446 §4.6.3 allows, and BoringSSL does",
  },
  {
    tests: only("ConflictingVersionNegotiation", "Resume-Server-TLS12-TLS12-TLS"),
    why: "the client offers a version or a session in two ways that contradict each other; OpenSSL refuses what BoringSSL takes",
  },
  {
    tests: only(
      "Resume-Server-OmitPSKsOnSecondClientHello",
      "Resume-Server-UnofferedCipher",
      "Resume-Server-UnofferedCipher-TLS13",
    ),
    why: "which session is resumed, when the client offers other suites than before: OpenSSL refuses in TLS 1.2, and in TLS 1.3 looks at the hash alone (RFC 8446 §4.2.11)",
  },
  {
    tests: only("TLS13-ExpectNoSessionTicketOnBadKEMode-Server"),
    why: "OpenSSL sends tickets also to a client that can use none of them",
  },
];
