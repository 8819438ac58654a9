package config

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"
)

// A Duration is spelled as Go spells it: "500ms", "2h".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%.80q is not a duration: write a number of zero or more and its unit, such as 500ms, 10s or 2h", text)
	}
	*d = Duration(v)
	return nil
}

// String returns the duration without units that are zero: 2h, not 2h0m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// A Size is a number of bytes: "1MiB", "64KiB", "1000".
type Size int64

// sizeUnits are the binary units of IEC 80000-13, the largest first.
var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := string(text), int64(1)
	for _, u := range sizeUnits {
		if n, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(n), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return fmt.Errorf("%.80q is not a size: write a number of B, KiB, MiB or GiB, such as 1MiB", text)
	}
	*s = Size(n * unit)
	return nil
}

// String returns the size in the largest unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if n := int64(s); n >= u.bytes && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// An Address is where a service listens: inet:127.0.0.1:8899,
// inet6:[::1]:8899, unix:/run/permalink-milter/milter.sock or systemd:NAME. The
// empty Address turns the service off.
type Address string

const addressHint = "write inet:127.0.0.1:8899, inet6:[::1]:8899, unix:/run/permalink-milter/milter.sock or systemd:NAME"

// Split returns the scheme (inet, inet6, unix or systemd) and what follows it:
// host:port, a path or a name.
func (a Address) Split() (scheme, rest string) {
	scheme, rest, _ = strings.Cut(string(a), ":")
	return scheme, rest
}

// UnmarshalText implements encoding.TextUnmarshaler. An address without a
// scheme is inet:, or inet6: if its host is in brackets. An address without a
// host is on the loopback interface, so that a slip does not open a service to
// the network.
func (a *Address) UnmarshalText(text []byte) error {
	*a = Address(text)
	if *a == "" {
		return nil
	}
	scheme, rest := a.Split()
	switch scheme {
	case "inet", "inet6":
	case "unix":
		if !path.IsAbs(rest) {
			return fmt.Errorf("%.200q: write an absolute path, such as unix:/run/permalink-milter/milter.sock", text)
		}
		*a = Address("unix:" + path.Clean(rest))
		return nil
	case "systemd":
		if rest == "" {
			return fmt.Errorf("%.200q: name the socket as FileDescriptorName= in its unit does", text)
		}
		return nil
	default:
		scheme, rest = "inet", string(text)
		if strings.HasPrefix(rest, "[") {
			scheme = "inet6"
		}
	}
	host, port, err := net.SplitHostPort(rest)
	if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
		return fmt.Errorf("%.200q is not an address: %s", text, addressHint)
	}
	if host == "" {
		host = map[string]string{"inet": "127.0.0.1", "inet6": "::1"}[scheme]
	}
	*a = Address(scheme + ":" + net.JoinHostPort(host, port))
	return nil
}

// clashes reports whether two addresses cannot both be listened on. Port 0
// stands for any free port.
func (a Address) clashes(b Address) bool {
	return a == b && a != "" && !strings.HasSuffix(string(a), ":0")
}

// A Network is an IP address or a network, such as 192.0.2.0/24.
type Network string

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *Network) UnmarshalText(text []byte) error {
	*n = Network(text)
	_, err := n.Prefix()
	return err
}

// Prefix returns the network. That of an address holds the address alone.
func (n Network) Prefix() (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(string(n)); err == nil {
		return addr.Prefix(addr.BitLen())
	}
	p, err := netip.ParsePrefix(string(n))
	if err != nil {
		return p, fmt.Errorf("%.80q: write an address or a network, such as 192.0.2.0/24", string(n))
	}
	return p, nil
}
