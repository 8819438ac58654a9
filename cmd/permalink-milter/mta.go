package main

import (
	"errors"
	"fmt"
	"io"
	"net"

	"permalink-milter/config"
)

// errNoAddress is returned where systemd's socket unit has all the addresses.
var errNoAddress = errors.New("milter.listen names only sockets of systemd: give the MTA the ListenStream= address of the socket unit")

// mtaLines maps an MTA to the lines that connect it to the milter. The files in
// config/postfix and config/sendmail have the same lines.
var mtaLines = map[string]func(config.Address) string{"postfix": postfixLines, "sendmail": sendmailLines}

// printMTA prints the lines for the first listener that has an address.
func printMTA(w io.Writer, mta string, listeners []config.Address) error {
	for _, a := range listeners {
		if scheme, _ := a.Split(); scheme != "systemd" {
			_, err := io.WriteString(w, mtaLines[mta](a))
			return err
		}
	}
	return &exitError{exitConfig, errNoAddress}
}

// postfixLines returns shell commands. Postfix writes inet: for IPv6 too.
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

// sendmailLines returns a line of sendmail.mc.
func sendmailLines(a config.Address) string {
	scheme, rest := a.Split()
	address := "unix:" + rest
	if scheme != "unix" {
		host, port := hostPort(a)
		address = scheme + ":" + port + "@" + host
	}
	return fmt.Sprintf("INPUT_MAIL_FILTER(`permalink', `S=%s, F=T')dnl\n", address)
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
