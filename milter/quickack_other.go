//go:build !linux

package milter

import "net"

// acknowledge has no counterpart here.
func acknowledge(net.Conn) {}
