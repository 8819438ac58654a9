package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"permalink-milter/cmd/permalink/progress"
)

// onTerminal runs the real main on a terminal and returns what it shows.
func onTerminal(t *testing.T, env []string, stdin io.Reader, args ...string) string {
	t.Helper()
	master, slave := openTerminal(t)
	cmd := exec.Command("permalink", args...)
	cmd.Env = append(os.Environ(), append([]string{"TERM=xterm", "NO_COLOR="}, env...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, slave, slave
	shown := make(chan string)
	go func() {
		out, _ := io.ReadAll(master) // ends with an error when the terminal closes
		shown <- string(out)
	}()
	err := cmd.Run()
	slave.Close()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Error(err)
	}
	return <-shown
}

func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 25, Col: 80})
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

const wrongMessage = "Message-ID: <abc@example.org>\nMessage-ID-MD5: 2FSRUHO6FOQVW42UNHOYWCUTJI\n\n"

func TestColourIsForTerminalsThatWantIt(t *testing.T) {
	for name, c := range map[string]struct {
		env  []string
		want bool
	}{
		"a terminal":         {nil, true},
		"NO_COLOR is set":    {[]string{"NO_COLOR=1"}, false},
		"a terminal without": {[]string{"TERM=dumb"}, false},
	} {
		out := onTerminal(t, c.env, strings.NewReader(wrongMessage), "verify")
		if !strings.Contains(out, "fail") || strings.Contains(out, "\x1b[31mfail\x1b[0m") != c.want {
			t.Errorf("%s: %q", name, out)
		}
	}
}

// slowly gives its text late, so that the work is long.
type slowly struct{ text string }

func (s *slowly) Read(p []byte) (int, error) {
	if s.text == "" {
		return 0, io.EOF
	}
	time.Sleep(progress.Delay / 2)
	n := copy(p, s.text[:min(len(s.text), 100)])
	s.text = s.text[n:]
	return n, nil
}

func TestABarIsForLongWorkOnTerminals(t *testing.T) {
	t.Parallel()
	mbox := strings.Repeat("From a@example.org Tue Nov 24 11:00:00 2026\n"+wrongMessage, 4)
	if out := onTerminal(t, nil, &slowly{mbox}, "verify", "--format", "mbox"); !strings.Contains(out, "B/s") {
		t.Errorf("long: %q", out)
	}
	if out := onTerminal(t, nil, strings.NewReader(mbox), "verify"); strings.Contains(out, "B/s") {
		t.Errorf("short: %q", out)
	}
	if _, out, errs := permalink(t, &slowly{mbox}, "verify"); strings.Contains(out+errs, "B/s") {
		t.Errorf("in a pipe: %q", out+errs)
	}
}
