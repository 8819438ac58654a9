package conform

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"permalink-milter/hashheader/golden"
	"permalink-milter/milter/mtatest/need"
)

// A peer is a program that Debian ships and that finds the id of a message by
// code of its own.
type peer struct {
	name    string // as it writes itself
	command string // in testdata/peers
	debian  string // the package that has the version
	tree    string // the folder that the package is unpacked into
	unpack  string // the command that unpacks it
	modules string // the folder of its code in the tree
	large   bool   // takes long to load
	differs string // what it does otherwise than the draft, as its golden file shows
}

var peers = []peer{
	{"Mailman", "mailman.py", "mailman3", "mailman3", "registry/mailman/mailmantest/install.sh", "usr/lib/python3/dist-packages", true,
		"hashes the angle brackets too where the field is folded or white space follows the id; keeps white space inside an id; hashes an empty id; names no message whose id is not ASCII; has SHA1 alone"},
	{"HyperKitty", "hyperkitty.py", "python3-django-hyperkitty", "mailman3", "registry/mailman/mailmantest/install.sh", "usr/lib/python3/dist-packages", true,
		"ends an id at the first character that cannot be in one, and after 254 characters; decodes encoded words; hashes an empty id; names no message whose id Python's parser fails on; has SHA1 alone"},
	{"Sympa", "sympa.pl", "sympa", "sympa", "testdata/unpack.sh sympa sympa", "usr/share/sympa/lib", true,
		"takes what is between the first \"<\" and the last \">\" alone; keeps white space inside an id"},
	{"MHonArc", "mhonarc.pl", "mhonarc", "mhonarc", "testdata/unpack.sh mhonarc mhonarc", "usr/share/mhonarc", false,
		"takes what is between the first \"<\" and the next \">\" alone; keeps white space inside an id"},
	{"public-inbox", "public-inbox.pl", "libpublicinbox-perl", "public-inbox", "testdata/unpack.sh --alone public-inbox libpublicinbox-perl", "usr/share/perl5", false,
		"takes what is between the first \"<\" and the next \">\" alone; keeps spaces inside an id, and 244 of its characters; takes its bytes for ISO 8859-1"},
}

const peersFolder = "testdata/peers"

func (p peer) golden() string { return filepath.Join(peersFolder, p.command+".golden") }

// root returns the folder that the peer is unpacked into.
func (p peer) root(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(cache, "permalink-milter", p.tree)
	need.File(t, root, p.unpack)
	return root
}

// program returns the command that asks the peer. With forks it is one that
// serves them.
func (p peer) program(t *testing.T, forks bool) program {
	t.Helper()
	modules := filepath.Join(p.root(t), p.modules)
	ext := filepath.Ext(p.command)
	var command program
	if ext == ".py" {
		const python = "/usr/bin/python3" // Debian's, without the machine's own packages
		need.File(t, python, "testdata/install.sh python3")
		command = program{"env", "PYTHONPATH=" + modules, "PYTHONDONTWRITEBYTECODE=1", python, "-P", "-S"}
	} else {
		need.File(t, "/usr/share/perl5/URI/Escape.pm", "testdata/install.sh liburi-perl")
		command = program{need.Program(t, "perl", "perl"), "-I", peersFolder, "-I", modules}
	}
	if forks {
		command = append(command, filepath.Join(peersFolder, "forks"+ext))
	}
	return append(command, filepath.Join(peersFolder, p.command))
}

// serve starts the program with a socket that it serves forks on, and returns
// how to ask one. Python and Perl load a large peer once so, not for each
// message.
func serve(t *testing.T, p program) func(context.Context, []byte, ...string) (string, error) {
	t.Helper()
	address := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"}
	listener, err := net.ListenUnix("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	file, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), p[0], p[1:]...)
	cmd.ExtraFiles, cmd.Stderr = []*os.File{file}, t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Wait() })
	file.Close()
	listener.Close() // the program has it
	return func(ctx context.Context, message []byte, _ ...string) (string, error) {
		conn, err := net.DialUnix("unix", nil, address)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		deadline, _ := ctx.Deadline()
		conn.SetDeadline(deadline)
		if _, err := conn.Write(message); err != nil && !errors.Is(err, syscall.EPIPE) {
			return "", err
		}
		conn.CloseWrite()
		out, err := io.ReadAll(conn)
		return string(out), err
	}
}

// version returns the peer's version, without Debian's revision, from the
// package's changelog.
func (p peer) version(t *testing.T) string {
	t.Helper()
	f, err := os.Open(filepath.Join(p.root(t), "usr/share/doc", p.debian, "changelog.Debian.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 100)
	if _, err := io.ReadFull(z, head); err != nil {
		t.Fatal(err)
	}
	_, version, _ := strings.Cut(string(head), " (")
	version, _, found := strings.Cut(version, "-")
	version, _, _ = strings.Cut(version, "~") // such as ~dfsg
	if !found || version == "" {
		t.Fatalf("no version: %s", head)
	}
	return version
}

// TestPeers holds what Debian's archives and list managers make of the tests to
// what is published of them.
func TestPeers(t *testing.T) {
	need.Time(t, "it asks Python and Perl about hundreds of messages")
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			h := &hasher{ask: p.program(t, false).ask}
			if p.large {
				h.ask = serve(t, p.program(t, true))
			}
			_, all := outcomes(t, h.tests())
			golden.Equal(t, p.golden(), p.name+" "+p.version(t)+"\n"+summary(t, all))
		})
	}
}

// A large peer's command, alone, prints for a message what its forks print.
func TestPeersCommands(t *testing.T) {
	for _, p := range peers {
		if !p.large {
			continue
		}
		alone, err := p.program(t, false).ask(t.Context(), probe)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
		defer cancel()
		forked, err := serve(t, p.program(t, true))(ctx, probe)
		if err != nil || alone == "" || forked != alone {
			t.Errorf("%s: %q and %q, %v", p.name, alone, forked, err)
		}
	}
}

// summary returns how many tests of each requirement passed of those that ran,
// and what is wrong with the others.
func summary(t *testing.T, all []Result) string {
	t.Helper()
	var differences strings.Builder
	passed, ran, known := make(map[string]int), make(map[string]int), false
	for _, r := range all {
		if r.Outcome == Skip {
			continue
		}
		ran[r.ID]++
		if r.Outcome == Pass {
			passed[r.ID]++
			known = known || strings.HasPrefix(r.ID, "ALG-")
			continue
		}
		fmt.Fprintf(&differences, "%s - %s: %s\n", r.ID, r.Name, r.Reason)
	}
	if !known {
		t.Fatalf("the command names no message:\n%s", differences.String())
	}
	var b strings.Builder
	for _, r := range Requirements {
		if ran[r.ID] > 0 {
			fmt.Fprintf(&b, "%s %d of %d\n", r.ID, passed[r.ID], ran[r.ID])
		}
	}
	return b.String() + differences.String()
}
