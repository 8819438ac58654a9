package follow

import (
	"fmt"
	"net/netip"
	"syscall"
)

// A privateError is returned for an address of a private network.
type privateError struct{ address string }

func (e *privateError) Error() string {
	return fmt.Sprintf("it leads to %s, an address of a private network: --allow-private follows it", e.address)
}

// publicOnly is a net.Dialer's Control. It sees each address that is really
// connected to, behind name resolution and redirects.
func publicOnly(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !isPublic(to.Addr()) {
		return &privateError{address}
	}
	return nil
}

// special are the networks, beside those that netip knows, that are not of
// the public Internet (the IANA registries of RFC 6890), and those whose
// addresses hold an IPv4 address that a gateway would connect to.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // carriers' NAT (RFC 6598)
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"), // relays of 6to4 (RFC 7526)
	netip.MustParsePrefix("198.18.0.0/15"),  // benchmarks (RFC 2544)
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("::ffff:0:0:0/96"), // IPv4-translated (RFC 2765)
	netip.MustParsePrefix("64:ff9b::/96"),    // NAT64 (RFC 6052)
	netip.MustParsePrefix("64:ff9b:1::/48"),  // NAT64 (RFC 8215)
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), // Teredo among them (RFC 4380)
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), // 6to4 (RFC 3056)
	netip.MustParsePrefix("3fff::/20"), // documentation (RFC 9637)
	netip.MustParsePrefix("5f00::/16"), // segment routing (RFC 9602)
	netip.MustParsePrefix("fec0::/10"),
}

func isPublic(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, network := range special {
		if network.Contains(a) {
			return false
		}
	}
	return true
}
