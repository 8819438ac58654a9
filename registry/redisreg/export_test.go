package redisreg

import (
	"context"
	"net"
)

// SwapScript is the script, for the benchmark to run bare.
var SwapScript = swapScript

// OpenThrough is Open with connections that dial makes.
func OpenThrough(o Options, dial func(ctx context.Context, network, addr string) (net.Conn, error)) (*Store, error) {
	o.dial = dial
	return Open(o)
}
