package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"permalink-milter/config"
)

// checkListeners checks that the daemon can open its addresses. Those that the
// running daemon holds are fine.
func (h *host) checkListeners() {
	for i, a := range h.c.Milter.Listen {
		h.checkAddress(fmt.Sprintf("milter.listen[%d]", i), a)
	}
	h.checkAddress("http.listen", h.c.HTTP.Listen)
	h.checkAddress("lmtp.listen", h.c.LMTP.Listen)
	h.checkAddress("admin.listen", h.c.Admin.Listen)
}

func (h *host) checkAddress(key string, a config.Address) {
	switch scheme, rest := a.Split(); scheme {
	case "inet":
		h.checkPort(key, "tcp4", rest)
	case "inet6":
		h.checkPort(key, "tcp6", rest)
	case "unix":
		h.checkSocket(key, rest)
	}
}

// higherPort is the hint for a port that only root may open.
const higherPort = "take a higher port, or let systemd open it with a socket unit"

func (h *host) checkPort(key, network, address string) {
	ln, err := net.Listen(network, address)
	switch {
	case err == nil:
		ln.Close()
		h.checkPrivileged(key, address)
	case errors.Is(err, syscall.EADDRINUSE):
		_, port, _ := net.SplitHostPort(address)
		h.checkHolder(key, address, portHolder(port))
	case errors.Is(err, syscall.EACCES):
		h.fail(key, higherPort, "%w", err)
	default:
		h.fail(key, "write an address of this host", "%w", err)
	}
}

// checkPrivileged finds a port that only root may open.
func (h *host) checkPrivileged(key, address string) {
	_, text, _ := net.SplitHostPort(address)
	port, _ := strconv.Atoi(text)
	first := 1024
	if data, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err == nil {
		first, _ = strconv.Atoi(strings.TrimSpace(string(data)))
	}
	if h.daemon.uid != 0 && port > 0 && port < first {
		h.fail(key, higherPort, "the user %s may not open ports below %d", h.daemon.name, first)
	}
}

// checkSocket checks a unix socket and its directory. That of the packaged unit
// exists only while the daemon runs.
func (h *host) checkSocket(key, path string) {
	if err := checkSocketPath(path); err != nil {
		h.problems.Add(key, err)
		return
	}
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); err != nil {
		if dir != "/run/permalink-milter" {
			h.fail(key, "create the directory, and give it to the daemon's user", "%w", err)
		}
		return
	}
	if !h.daemon.may("w", dir) || !h.daemon.may("x", dir) {
		h.fail(key, "give the directory to the user: chown "+h.daemon.name+" "+dir, "the user %s cannot create a socket in %s", h.daemon.name, dir)
		return
	}
	switch _, err := stale(path); {
	case errors.Is(err, errSocketInUse):
		h.checkHolder(key, path, socketHolder(path))
	case err != nil:
		h.problems.Add(key, err)
	}
}

// checkHolder judges who holds an address. That is the running daemon, if it
// has our name.
func (h *host) checkHolder(key, address string, pid int) {
	if pid == 0 {
		h.warn(key, "run the check as root to see which; the running daemon is no problem", "another process listens on %s", address)
		return
	}
	name := commandOf(pid)
	if own := commandOf(os.Getpid()); name == own && pid != os.Getpid() {
		return
	}
	h.fail(key, "stop it or configure another address", "%s (process %d) listens on %s", name, pid, address)
}

// commandOf returns the name of a process's program.
func commandOf(pid int) string {
	if program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil {
		return filepath.Base(strings.TrimSuffix(program, " (deleted)"))
	}
	return "a process"
}

// unitJoins reports whether the daemon's unit joins a group.
func unitJoins(group string) bool {
	out, err := exec.Command("systemctl", "show", "-P", "SupplementaryGroups", "permalink-milter.service").Output()
	return err == nil && strings.Contains(" "+strings.TrimSpace(string(out))+" ", " "+group+" ")
}
