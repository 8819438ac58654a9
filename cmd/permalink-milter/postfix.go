package main

import (
	"cmp"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"permalink-milter/config"
)

// postfix is what the configuration of this host's Postfix says about milters.
type postfix struct {
	queue  string              // queue_directory
	owner  string              // mail_owner, the user of smtpd and cleanup
	action string              // milter_default_action
	lists  map[string][]string // the addresses in smtpd_milters and non_smtpd_milters
	jailed map[string]bool     // services that run in a chroot
}

// milterLists are the parameters with the milters of smtpd and of cleanup.
var milterLists = []string{"smtpd_milters", "non_smtpd_milters"}

// defaultQueue is where Postfix keeps its queue, unless it says otherwise.
const defaultQueue = "/var/spool/postfix"

// readPostfix asks postconf. It reports false where there is no Postfix.
func readPostfix() (postfix, bool) {
	p := postfix{lists: make(map[string][]string), jailed: make(map[string]bool)}
	if _, err := os.Stat(filepath.Join(cmp.Or(os.Getenv("MAIL_CONFIG"), "/etc/postfix"), "main.cf")); err != nil {
		return p, false
	}
	settings, ok := postconf(append([]string{"-x", "queue_directory", "mail_owner", "milter_default_action"}, milterLists...)...)
	if !ok {
		return p, false
	}
	p.queue, p.owner, p.action = settings["queue_directory"], settings["mail_owner"], settings["milter_default_action"]
	for _, list := range milterLists {
		p.lists[list] = milters(settings[list])
	}
	jails, _ := postconf("-F", "*/*/chroot")
	for service, chroot := range jails {
		name, _, _ := strings.Cut(service, "/")
		if net.ParseIP(hostOnly(name)) != nil || name == "smtp" && strings.Contains(service, "/inet/") || name == "submission" || name == "smtps" {
			name = "smtpd"
		}
		p.jailed[name] = p.jailed[name] || chroot == "y"
	}
	return p, p.queue != ""
}

// hostOnly returns the host of host:port.
func hostOnly(text string) string {
	host, _, err := net.SplitHostPort(text)
	if err != nil {
		return text
	}
	return host
}

// postconf runs postconf(1) and returns the lines NAME = VALUE that it prints.
func postconf(args ...string) (map[string]string, bool) {
	program, err := exec.LookPath("postconf")
	if err != nil {
		program = "/usr/sbin/postconf"
	}
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		return nil, false
	}
	settings := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(line, "=")
		settings[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return settings, true
}

// milters returns the addresses in a list of milters, each either plain or in
// braces before its own settings (postconf(5), smtpd_milters).
func milters(value string) (addresses []string) {
	for value = skip(value); value != ""; value = skip(value) {
		var address string
		if rest, braced := strings.CutPrefix(value, "{"); braced {
			rest, value, _ = strings.Cut(rest, "}")
			address, _ = cutWord(skip(rest))
		} else {
			address, value = cutWord(value)
		}
		addresses = append(addresses, address)
	}
	return addresses
}

// cutWord returns what stands before the first separator, and what follows.
func cutWord(value string) (word, rest string) {
	if end := strings.IndexAny(value, separators); end >= 0 {
		return value[:end], value[end:]
	}
	return value, ""
}

// separators stand between the milters of a list.
const separators = ", \t\r\n"

func skip(value string) string { return strings.TrimLeft(value, separators) }

// within returns the path of a unix socket relative to the queue directory,
// which is the current directory of smtpd and cleanup in a chroot and outside.
func (p postfix) within(path string) (string, bool) {
	relative, err := filepath.Rel(p.queue, path)
	return relative, err == nil && relative != ".." && !strings.HasPrefix(relative, "../")
}

// sees returns the path that a service opens for a unix socket in a list of
// milters.
func (p postfix) sees(service, path string) string {
	if !filepath.IsAbs(path) || p.jailed[service] {
		return filepath.Join(p.queue, path)
	}
	return path
}

// address returns how Postfix is told of an address. Postfix writes inet: for
// IPv6 too.
func (p postfix) address(a config.Address) string {
	scheme, rest := a.Split()
	if scheme != "unix" {
		host, port := hostPort(a)
		return "inet:" + net.JoinHostPort(host, port)
	}
	if relative, ok := p.within(rest); ok {
		return "unix:" + relative
	}
	return "unix:" + rest
}
