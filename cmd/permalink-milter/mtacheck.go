package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"permalink-milter/config"
)

// checkMTA checks that the MTA of this host asks the daemon. All that it finds
// are warnings: the daemon starts, but gets no mail.
func (h *host) checkMTA() {
	if p, ok := readPostfix(); ok {
		h.checkPostfix(p)
	}
}

// services are those of Postfix that ask the milters of each list.
var services = map[string]string{"smtpd_milters": "smtpd", "non_smtpd_milters": "cleanup"}

func (h *host) checkPostfix(p postfix) {
	for _, list := range milterLists {
		if !slices.ContainsFunc(p.lists[list], func(entry string) bool { return h.isOurs(p, services[list], entry) }) {
			h.warnAbsent(p, list)
		}
	}
	for i, a := range h.c.Milter.Listen {
		if scheme, path := a.Split(); scheme == "unix" && slices.Contains(slices.Concat(p.lists["smtpd_milters"], p.lists["non_smtpd_milters"]), p.address(a)) {
			h.checkConnect(p, fmt.Sprintf("milter.listen[%d]", i), path)
		}
	}
	if p.action == "reject" {
		h.warn("milter.listen", "postconf -e milter_default_action=tempfail", "Postfix's milter_default_action is reject: while the daemon is down, mail is rejected")
	}
}

// isOurs reports whether a service that asks this milter asks the daemon.
func (h *host) isOurs(p postfix, service, entry string) bool {
	scheme, rest, _ := strings.Cut(entry, ":")
	for _, a := range h.c.Milter.Listen {
		kind, own := a.Split()
		switch {
		case kind == "systemd":
			return true // the socket unit has the address
		case kind == "unix" && scheme == "unix" && p.sees(service, rest) == own:
			return true
		case kind != "unix" && scheme == "inet" && samePort(rest, a):
			return true
		}
	}
	return false
}

// samePort reports whether Postfix's inet address is where the daemon listens.
// Names of hosts are trusted.
func samePort(address string, a config.Address) bool {
	host, port := hostPort(a)
	theirs, number, err := net.SplitHostPort(address)
	if err != nil || number != port {
		return false
	}
	return theirs == host || net.ParseIP(theirs) == nil
}

// warnAbsent says that a list of milters does not hold the daemon, and why
// where a chroot hides its socket.
func (h *host) warnAbsent(p postfix, list string) {
	const print = "permalink-milter --print-mta postfix prints the lines"
	for i, a := range h.c.Milter.Listen {
		_, path := a.Split()
		_, inside := p.within(path)
		if slices.Contains(p.lists[list], string(a)) && p.jailed[services[list]] && !inside {
			h.warn(fmt.Sprintf("milter.listen[%d]", i), "listen in a directory below "+p.queue+", such as unix:"+filepath.Join(p.queue, "permalink-milter/milter.sock"),
				"Postfix's %s runs in a chroot and cannot see %s", services[list], path)
			return
		}
	}
	h.warn("milter.listen", print, "Postfix's %s has no milter at an address of this daemon", list)
}

// checkConnect checks that the user of Postfix's services may open a socket.
func (h *host) checkConnect(p postfix, key, path string) {
	owner, err := lookUpAccount(p.owner)
	if err != nil {
		return
	}
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return
	}
	if !owner.may("x", dir) {
		h.warn(key, "chgrp "+p.owner+" "+dir+" && chmod g+x "+dir, "the user %s cannot reach sockets in %s", owner.name, dir)
		return
	}
	group := h.socketGroup(info)
	mode, _ := strconv.ParseUint(h.c.Milter.SocketMode, 8, 9)
	if _, err := os.Stat(path); err == nil {
		if owner.may("w", path) {
			return
		}
	} else if mode&0o002 != 0 || mode&0o020 != 0 && owner.in(group) {
		return
	}
	h.warn(key, "set milter.socket_group = \""+p.owner+"\", and let the daemon join it: SupplementaryGroups="+p.owner,
		"the user %s may not connect to %s, which belongs to another group", owner.name, path)
}

// socketGroup returns the group of a new socket: the configured one, that of a
// directory that hands its group on, or the daemon's own.
func (h *host) socketGroup(dir os.FileInfo) int {
	if gid, err := groupID(h.c.Milter.SocketGroup); err == nil {
		return gid
	}
	if stat, ok := dir.Sys().(*syscall.Stat_t); ok && dir.Mode()&os.ModeSetgid != 0 {
		return int(stat.Gid)
	}
	return h.daemon.gid
}
