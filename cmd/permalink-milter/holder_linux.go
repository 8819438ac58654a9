package main

import (
	"fmt"
	"net"
	"strconv"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// listening is the state of a socket that listens, in /proc/net/tcp.
const listening = 10

// portHolder returns the process that listens on a port, 0 if it cannot be seen.
func portHolder(port string) int {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return 0
	}
	holds := make(map[string]bool)
	v4, _ := proc.NetTCP()
	v6, _ := proc.NetTCP6()
	for _, line := range append(v4, v6...) {
		if line.St == listening && strconv.FormatUint(line.LocalPort, 10) == port {
			holds[fmt.Sprintf("socket:[%d]", line.Inode)] = true
		}
	}
	all, _ := proc.AllProcs()
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
