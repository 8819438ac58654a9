package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// listening is the state of a socket that listens, in /proc/net/tcp.
const listening = "0A"

// portHolder returns the process that listens on a port, 0 if it cannot be seen.
func portHolder(port string) int {
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0
	}
	holds := make(map[string]bool)
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		for _, inode := range listeners(table, number) {
			holds["socket:["+inode+"]"] = true
		}
	}
	all, _ := procfs.AllProcs()
	for _, p := range all {
		targets, _ := p.FileDescriptorTargets()
		for _, target := range targets {
			if holds[target] {
				return p.PID
			}
		}
	}
	return 0
}

// listeners returns the inodes of the sockets that listen on a port. The fields
// of a line are number, local address, remote address, state, and behind five
// others the inode (proc_pid_net(5)).
func listeners(table string, port uint64) (inodes []string) {
	text, _ := os.ReadFile(table)
	suffix := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) > 9 && f[3] == listening && strings.HasSuffix(f[1], suffix) {
			inodes = append(inodes, f[9])
		}
	}
	return inodes
}

// socketHolder returns the process that listens on a unix socket.
func socketHolder(path string) (pid int) {
	conn, err := net.DialTimeout("unix", path, dialLimit)
	if err != nil {
		return 0
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if credentials, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(credentials.Pid)
		}
	})
	return pid
}
