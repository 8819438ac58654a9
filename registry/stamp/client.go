package stamp

import (
	"net/netip"
	"slices"

	"permalink-milter/hashheader"
)

// A Client is who handed a message to the MTA.
type Client struct {
	Addr          netip.Addr // invalid where the MTA tells none
	Authenticated bool       // it logged in (RFC 4954)
}

// Clients are a set of clients. The zero value holds all.
type Clients struct {
	Networks      []netip.Prefix
	Authenticated bool // holds those that logged in, wherever they are
}

func (c Clients) all() bool { return len(c.Networks) == 0 && !c.Authenticated }

func (c Clients) hold(client Client) bool {
	addr := client.Addr.Unmap()
	return c.all() || c.Authenticated && client.Authenticated ||
		slices.ContainsFunc(c.Networks, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// listFields are the fields by which a list manager names the list of a
// message.
var listFields = []string{"List-Id", "List-Post"}

// believed returns the header by which the lists of a message are found: without
// the fields of a list manager where the client may not write them. Every
// client may where the policy does not say otherwise, and a door that knows no
// client reads what a client has already brought.
func (d *Decision) believed(m *Message, p *Policy) hashheader.Header {
	if m.Client == nil || p.ListFieldsFrom.hold(*m.Client) {
		return m.Header
	}
	isList := func(f hashheader.Field) bool { return slices.ContainsFunc(listFields, f.Is) }
	if !slices.ContainsFunc(m.Header, isList) {
		return m.Header
	}
	d.note("List-Id and List-Post do not count from this client")
	return slices.DeleteFunc(slices.Clone(m.Header), isList)
}
