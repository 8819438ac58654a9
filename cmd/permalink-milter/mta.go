package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"permalink-milter/config"
)

// errNoAddress is returned where systemd's socket unit has all the addresses.
var errNoAddress = errors.New("milter.listen names only sockets of systemd: give the MTA the ListenStream= address of the socket unit")

// mtaLines maps an MTA to the lines that connect it to the milter at one of its
// addresses. The files in config/postfix and config/sendmail have the same.
var mtaLines = map[string]func([]config.Address) string{"postfix": postfixLines, "sendmail": sendmailLines}

// printMTA prints the lines for the listeners that have an address.
func printMTA(w io.Writer, mta string, listeners []config.Address) error {
	var known []config.Address
	for _, a := range listeners {
		if scheme, _ := a.Split(); scheme != "systemd" {
			known = append(known, a)
		}
	}
	if len(known) == 0 {
		return &exitError{exitConfig, errNoAddress}
	}
	_, err := io.WriteString(w, mtaLines[mta](known))
	return err
}

// postfixScript puts the milter before those that are there, such as a DKIM
// signer, unless it is there: some lists include the other one.
const postfixScript = `# Puts permalink-milter before the other milters, which stay.
for list in smtpd_milters non_smtpd_milters; do
	postconf -hx $list | grep -qF '%[1]s' ||
		postconf -e "$list = { %[1]s, default_action=tempfail } $(postconf -h $list)"
done
postfix reload

# To take it out again:
# for list in smtpd_milters non_smtpd_milters; do
# 	postconf -e "$list = $(postconf -h $list | sed 's/{ %[2]s, default_action=tempfail } *//')"
# done
# postfix reload
`

// postfixLines returns shell commands.
func postfixLines(listeners []config.Address) string {
	p, ok := readPostfix()
	if !ok {
		p.queue = defaultQueue
	}
	var b strings.Builder
	first := p.address(listeners[0])
	for _, a := range listeners[1:] {
		fmt.Fprintf(&b, "# The daemon also listens on %s. Name one address, not several.\n", p.address(a))
	}
	if path, absolute := strings.CutPrefix(first, "unix:/"); absolute {
		fmt.Fprintf(&b, "# In a chroot (master.cf), smtpd and cleanup look for /%s below %s: they must run outside of one,\n"+
			"# or the daemon must listen there, as on unix:%s/permalink-milter/milter.sock.\n", path, p.queue, p.queue)
	}
	fmt.Fprintf(&b, postfixScript, first, pattern.Replace(first))
	return b.String()
}

// pattern escapes a text for the regular expressions of sed(1).
var pattern = strings.NewReplacer(`.`, `\.`, `[`, `\[`, `]`, `\]`, `*`, `\*`, `^`, `\^`, `$`, `\$`, `/`, `\/`, `\`, `\\`)

// sendmailLines returns lines of sendmail.mc. The macro adds a filter to those
// that are there.
func sendmailLines(listeners []config.Address) string {
	var b strings.Builder
	for _, a := range listeners[1:] {
		fmt.Fprintf(&b, "dnl The daemon also listens on %s. Name one address, not several.\n", sendmailAddress(a))
	}
	fmt.Fprintf(&b, "INPUT_MAIL_FILTER(`permalink', `S=%s, F=T')dnl\n", sendmailAddress(listeners[0]))
	return b.String()
}

func sendmailAddress(a config.Address) string {
	scheme, rest := a.Split()
	if scheme == "unix" {
		return "unix:" + rest
	}
	host, port := hostPort(a)
	return scheme + ":" + port + "@" + host
}

// hostPort returns where an MTA on this host connects. That is the loopback
// address if the daemon listens on all addresses.
func hostPort(a config.Address) (host, port string) {
	scheme, rest := a.Split()
	host, port, _ = net.SplitHostPort(rest)
	if !net.ParseIP(host).IsUnspecified() {
		return host, port
	}
	if scheme == "inet6" {
		return "::1", port
	}
	return "127.0.0.1", port
}
