package milter

import (
	"net"
	"syscall"
	"testing"
)

// A wrapped connection is what a listener that bounds them returns.
type wrapped struct{ net.Conn }

func (w wrapped) NetConn() net.Conn { return w.Conn }

func TestAcknowledgerFindsTheSocketOfAWrappedConnection(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	option := func(do func(fd int) error) {
		if failed := raw.Control(func(fd uintptr) { err = do(int(fd)) }); failed != nil || err != nil {
			t.Fatal(failed, err)
		}
	}
	option(func(fd int) error { return syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 0) })
	acknowledger(wrapped{nc})()
	option(func(fd int) error {
		quick, err := syscall.GetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_QUICKACK)
		if quick == 0 {
			t.Error("acknowledgements are still held back")
		}
		return err
	})
}
