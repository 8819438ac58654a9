package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"permalink-milter/config"
)

// listen opens every listener of the configuration, or none.
func listen(c config.Milter) (listeners []net.Listener, err error) {
	for _, addr := range c.Listen {
		ln, err := listenOne(c, addr)
		if err != nil {
			for _, open := range listeners {
				open.Close()
			}
			return nil, fmt.Errorf("milter.listen %q: %w", addr, err)
		}
		listeners = append(listeners, ln)
	}
	return listeners, nil
}

func listenOne(c config.Milter, addr config.Address) (net.Listener, error) {
	scheme, rest := addr.Split()
	switch scheme {
	case "inet":
		return net.Listen("tcp4", rest)
	case "inet6":
		return net.Listen("tcp6", rest)
	case "unix":
		return listenUnix(c, rest)
	}
	return nil, errors.New("write inet:127.0.0.1:8899, inet6:[::1]:8899 or unix:/run/permalink-milter/milter.sock")
}

// listenUnix listens on a socket that a crashed daemon may have left behind.
// Its mode is right from the start: the umask shuts everybody out until the
// group and the mode are set.
func listenUnix(c config.Milter, path string) (net.Listener, error) {
	mode, err := strconv.ParseUint(c.SocketMode, 8, 9)
	if err != nil {
		return nil, fmt.Errorf("socket_mode = %q: write an octal mode, as 0660", c.SocketMode)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	umask := syscall.Umask(0o177)
	ln, err := net.Listen("unix", path)
	syscall.Umask(umask)
	if err != nil {
		return nil, err
	}
	err = setGroup(path, c.SocketGroup)
	if err == nil {
		err = os.Chmod(path, os.FileMode(mode))
	}
	if err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// removeStale removes a socket that nobody listens on. Anything else in its
// place stays, and is an error.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s is there and is no socket: remove it or write another path", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return fmt.Errorf("%s: another process listens there: stop it or write another path", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

func setGroup(path, name string) error {
	if name == "" {
		return nil
	}
	group, err := user.LookupGroup(name)
	if err != nil {
		return fmt.Errorf("socket_group: %w", err)
	}
	gid, err := strconv.Atoi(group.Gid)
	if err != nil {
		return fmt.Errorf("socket_group: %w", err)
	}
	return os.Chown(path, -1, gid)
}
