package main

import (
	"errors"
	"fmt"
	"io"
	"net"

	"permalink-milter/config"
)

// errNoAddress: a socket of systemd's has its address in its own unit.
var errNoAddress = errors.New("milter.listen has no address of its own: tell the MTA the ListenStream= of the socket unit")

// mtaLines are the lines that tell an MTA of a milter. The files in
// config/postfix and config/sendmail have the same.
var mtaLines = map[string]func(config.Address) string{"postfix": postfixLines, "sendmail": sendmailLines}

// printMTA prints the lines for the first listener that an MTA can be told.
func printMTA(w io.Writer, mta string, listeners []config.Address) error {
	for _, a := range listeners {
		if scheme, _ := a.Split(); scheme != "systemd" {
			_, err := io.WriteString(w, mtaLines[mta](a))
			return err
		}
	}
	return &exitError{exitConfig, errNoAddress}
}

// postfixLines has commands for a shell. Postfix says inet: for IPv6, too.
func postfixLines(a config.Address) string {
	scheme, rest := a.Split()
	address := "unix:" + rest
	if scheme != "unix" {
		host, port := hostPort(a)
		address = "inet:" + net.JoinHostPort(host, port)
	}
	return fmt.Sprintf(`postconf -e 'smtpd_milters = %[1]s'
postconf -e 'non_smtpd_milters = %[1]s'
postconf -e 'milter_default_action = tempfail'
postfix reload
`, address)
}

// sendmailLines has a line of sendmail.mc.
func sendmailLines(a config.Address) string {
	scheme, rest := a.Split()
	address := "unix:" + rest
	if scheme != "unix" {
		host, port := hostPort(a)
		address = scheme + ":" + port + "@" + host
	}
	return fmt.Sprintf("INPUT_MAIL_FILTER(`permalink', `S=%s, F=T')dnl\n", address)
}

// hostPort returns where an MTA on this host connects: the loopback address
// where the daemon listens on all.
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
