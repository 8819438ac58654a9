package milter

import (
	"net"
	"syscall"
)

// acknowledger returns what sends the acknowledgement of all that was read, at
// once. An MTA that writes a packet in two parts, or several packets without
// waiting for replies, does not send the second part before that (RFC 896),
// and the kernel would hold it back for 40 ms (RFC 1122, section 4.2.3.2). The
// kernel forgets the option, so it is set anew before each wait.
func acknowledger(nc net.Conn) func() {
	if wrapped, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = wrapped.NetConn()
	}
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return func() {}
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return func() {}
	}
	set := func(fd uintptr) {
		// It is for speed alone: a failure changes nothing else.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	}
	return func() { _ = raw.Control(set) }
}
