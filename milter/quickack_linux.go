package milter

import (
	"net"
	"syscall"
)

// acknowledge sends the acknowledgement of what was read at once. An MTA that writes a packet in two parts, or several
// packets without waiting for replies, does not send the second part before that (RFC 896), and the kernel would hold
// it back for 40 ms (RFC 1122, section 4.2.3.2). The kernel forgets the option, so it is set anew before each wait.
func acknowledge(nc net.Conn) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	// It is for speed alone: a failure changes nothing else.
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	})
}
