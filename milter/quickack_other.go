//go:build !linux

package milter

import "net"

// acknowledger has no counterpart here.
func acknowledger(net.Conn) func() { return func() {} }
