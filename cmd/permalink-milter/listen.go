package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"

	"permalink-milter/config"
)

// access says who may open a unix socket.
type access struct {
	mode         os.FileMode
	owner, group int // -1 for the daemon's own
}

// private is for a socket of the daemon's own user and group.
var private = access{0o660, -1, -1}

// sockets opens the listeners of all services.
type sockets struct {
	access
	passed map[string][]net.Listener
	opened []net.Listener
}

// newSockets takes over the sockets that systemd passes (sd_listen_fds(3)).
func newSockets(c config.Milter) (*sockets, error) {
	s := &sockets{access: private}
	mode, err := strconv.ParseUint(c.SocketMode, 8, 9)
	if err != nil {
		return s, fmt.Errorf("milter.socket_mode: %w", err)
	}
	s.mode = os.FileMode(mode)
	if s.passed, err = activation.ListenersWithNames(); err != nil {
		return s, fmt.Errorf("sockets passed by systemd: %w", err)
	}
	return s, s.lookup(c)
}

// lookup looks up the owner and the group of unix sockets.
func (s *sockets) lookup(c config.Milter) (err error) {
	if c.SocketOwner != "" {
		if s.owner, err = userID(c.SocketOwner); err != nil {
			return fmt.Errorf("milter.socket_owner: %w", err)
		}
	}
	if c.SocketGroup != "" {
		if s.group, err = groupID(c.SocketGroup); err != nil {
			return fmt.Errorf("milter.socket_group: %w", err)
		}
	}
	return nil
}

func userID(name string) (int, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(u.Uid)
}

func groupID(name string) (int, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(g.Gid)
}

// open opens the addresses of a key, except empty ones. After an error, what was
// opened stays open until close.
func (s *sockets) open(key string, addresses ...config.Address) (listeners []net.Listener, err error) {
	for _, a := range addresses {
		if a == "" {
			continue
		}
		some, err := s.listen(a)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", key, a, err)
		}
		s.opened = append(s.opened, some...)
		listeners = append(listeners, some...)
	}
	return listeners, nil
}

// listen opens one address. A systemd name may stand for several sockets.
func (s *sockets) listen(a config.Address) ([]net.Listener, error) {
	scheme, rest := a.Split()
	if scheme == "systemd" {
		return s.take(rest)
	}
	var ln net.Listener
	var err error
	switch scheme {
	case "inet":
		ln, err = net.Listen("tcp4", rest)
	case "inet6":
		ln, err = net.Listen("tcp6", rest)
	default:
		ln, err = s.listenUnix(rest)
	}
	if err != nil {
		return nil, err
	}
	return []net.Listener{ln}, nil
}

// take returns the sockets that systemd passed under a name. It does so once.
func (s *sockets) take(name string) ([]net.Listener, error) {
	listeners := s.passed[name]
	if len(listeners) == 0 {
		return nil, fmt.Errorf("systemd passed no such socket, only: %s. Enable the socket unit with FileDescriptorName=%s",
			strings.Join(slices.Sorted(maps.Keys(s.passed)), " "), name)
	}
	delete(s.passed, name)
	return listeners, nil
}

// unused returns an error for sockets that no service took, because their
// clients would wait forever.
func (s *sockets) unused() error {
	if len(s.passed) == 0 {
		return nil
	}
	return fmt.Errorf("systemd passed sockets that no listen key names: write systemd:%s in one, or disable the socket unit",
		strings.Join(slices.Sorted(maps.Keys(s.passed)), " and systemd:"))
}

// close closes all listeners.
func (s *sockets) close() (err error) {
	for _, ln := range s.opened {
		err = errors.Join(err, ln.Close())
	}
	return err
}

// maxSocketPath is the longest path of a unix socket (unix(7)).
const maxSocketPath = 107

// listenUnix listens on a unix socket, which may remain from a daemon that
// crashed. The umask denies all access until the owner and the mode are set.
func (s access) listenUnix(path string) (net.Listener, error) {
	if err := checkSocketPath(path); err != nil {
		return nil, err
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
	if err := s.give(path); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// give sets the owner and the mode of a socket. The folder's owner may put a link
// in its place: what is outside of the folder is never given away.
func (s access) give(path string) error {
	folder, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	name := filepath.Base(path)
	info, err := folder.Lstat(name)
	if err == nil && info.Mode().Type() != os.ModeSocket {
		err = fmt.Errorf("%s was replaced by something that is no socket", path)
	}
	if err == nil {
		err = folder.Lchown(name, s.owner, s.group)
	}
	if err == nil {
		err = folder.Chmod(name, s.mode)
	}
	return err
}

func checkSocketPath(path string) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("path of %d bytes: the path of a unix socket has at most %d bytes", len(path), maxSocketPath)
	}
	return nil
}

// removeStale removes a socket that no process listens on. It leaves anything
// else in place and returns an error.
func removeStale(path string) error {
	left, err := stale(path)
	if err != nil || !left {
		return err
	}
	return os.Remove(path)
}

// dialLimit bounds the wait for a process that may listen on a unix socket.
const dialLimit = time.Second

var errSocketInUse = errors.New("another process listens on this socket: stop it or configure another path")

// stale reports whether a path is a socket that no process listens on. It
// returns an error for anything else that is there.
func stale(path string) (bool, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if info.Mode().Type() != os.ModeSocket {
		return false, fmt.Errorf("%s exists and is not a socket: remove it or configure another path", path)
	}
	conn, err := net.DialTimeout("unix", path, dialLimit)
	if err == nil {
		conn.Close()
		return false, fmt.Errorf("%s: %w", path, errSocketInUse)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return false, err
	}
	return true, nil
}
