package lmtp

const crashVariable = "LMTP_TEST_CRASH"

func serveUntilKilled() {}
