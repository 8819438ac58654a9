package config

import (
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"
	"time"
)

// A Duration is written as Go writes it: "500ms", "2h".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%.80q is no duration: write a number with its unit, as 500ms, 10s or 2h, that is not negative", text)
	}
	*d = Duration(v)
	return nil
}

// String returns the duration without the units that are zero: 2h, not
// 2h0m0s.
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
		return fmt.Errorf("%.80q is no size: write a number of B, KiB, MiB or GiB, as 1MiB", text)
	}
	*s = Size(n * unit)
	return nil
}

// String returns the size in the largest unit that fits it whole.
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

// An Address is where to listen, as inet:127.0.0.1:8899, inet6:[::1]:8899,
// unix:/run/permalink-milter/milter.sock or systemd:NAME. The empty Address
// is off.
type Address string

const addressHint = "write inet:127.0.0.1:8899, inet6:[::1]:8899, unix:/run/permalink-milter/milter.sock or systemd:NAME"

// Split returns the scheme, inet, inet6, unix or systemd, and what stands
// behind it: host:port, a path or a name.
func (a Address) Split() (scheme, rest string) {
	scheme, rest, _ = strings.Cut(string(a), ":")
	return scheme, rest
}

// UnmarshalText implements encoding.TextUnmarshaler. An address without a
// scheme is inet: or, where its host is in brackets, inet6:; one without a
// host is the loopback's, so that nobody listens to all the world by a slip.
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
			return fmt.Errorf("%.200q: write an absolute path, as unix:/run/permalink-milter/milter.sock", text)
		}
		*a = Address("unix:" + path.Clean(rest))
		return nil
	case "systemd":
		if rest == "" {
			return fmt.Errorf("%.200q: name the socket, as FileDescriptorName= in its unit does", text)
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
		return fmt.Errorf("%.200q is no address: %s", text, addressHint)
	}
	if host == "" {
		host = map[string]string{"inet": "127.0.0.1", "inet6": "::1"}[scheme]
	}
	*a = Address(scheme + ":" + net.JoinHostPort(host, port))
	return nil
}

// clashes tells if two addresses are one. Port 0 is any that is free.
func (a Address) clashes(b Address) bool {
	return a == b && a != "" && !strings.HasSuffix(string(a), ":0")
}
