package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra/doc"

	"permalink-milter/config"
	"permalink-milter/hashheader/golden"
	"permalink-milter/milter/mtatest/need"
)

// manDate is the date of the manual pages. It is fixed, so that they are
// reproducible.
var manDate = time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)

func TestManualPageOfTheCommand(t *testing.T) {
	root := newRoot(stdio{io.Discard, io.Discard})
	root.DisableAutoGenTag = true
	root.InitDefaultVersionFlag()
	var b bytes.Buffer
	header := &doc.GenManHeader{Section: "8", Date: &manDate, Source: "permalink-milter", Manual: "System Manager's Manual"}
	if err := doc.GenMan(root, header, &b); err != nil {
		t.Fatal(err)
	}
	b.WriteString(manFiles + ".SH SEE ALSO\npermalink(1), permalink-milter.toml(5), postconf(5), systemd.socket(5)\n")
	golden.Equal(t, "permalink-milter.8", b.String())
}

const manFiles = `.SH FILES
.TP
\fI/etc/permalink-milter/permalink-milter.toml\fP
the configuration that packages install, see permalink-milter.toml(5); --check, --print-config and --print-mta read it
where --config names none
.TP
\fI/var/lib/permalink-milter\fP
the state directory of the packaged daemon
.TP
\fI/var/lib/permalink-milter/permalinks.db\fP
the embedded registry
.TP
\fI/var/lib/permalink-milter/control.sock\fP
the socket on which the daemon answers permalink(1)
.TP
\fI/var/lib/permalink-milter/journal\fP
what was stamped while the registry did not answer, and the conflicts that this made
.TP
\fI/var/spool/postfix/permalink-milter/milter.sock\fP
the packaged daemon's socket for Postfix

.SH ENVIRONMENT
.TP
\fBPERMALINK_CONFIG\fP
the configuration that --check, --print-config and --print-mta read in place of the installed one; if it is empty, they
read none
.TP
\fBSTATE_DIRECTORY\fP, \fBNOTIFY_SOCKET\fP, \fBWATCHDOG_USEC\fP, \fBLISTEN_FDS\fP
set by systemd, see systemd.exec(5), sd_notify(3) and sd_listen_fds(3)
.TP
\fBPERMALINK_REDIS_PASSWORD\fP
the password of Redis, if registry.password_file is empty
.TP
\fBMAIL_CONFIG\fP
the directory of Postfix's configuration, for --check and --print-mta

`

const manHead = `PERMALINK-MILTER.TOML 5 "Nov 2026" permalink-milter "File Formats Manual"
==================================================

# NAME

permalink-milter.toml - the configuration of permalink-milter(8)

# DESCRIPTION

A file in TOML. Every key has a default. A table [[NAME]] may occur several times. Durations are numbers with a unit,
such as "500ms" or "2h"; sizes are numbers of B, KiB, MiB or GiB, such as "1MiB". The relative path of a file begins in
the directory of the configuration file. Unknown keys are errors.
**permalink-milter --check** reports every problem of a file, each with its line and column, and **--print-config**
prints the values in force.

SIGHUP makes the daemon read the file again. New values of keys marked (SIGHUP) then apply. The log names other keys
that have changed, because they need a restart.
`

const manTail = `
# EXAMPLES

The lists of one host, in the archive of HyperKitty, with the embedded registry:

    state_dir = "/var/lib/permalink-milter"

    [[archive]]
    name  = "hyperkitty"
    lists = ["*@lists.example.org"]
    url   = "https://lists.example.org/archives/list/{list}/message/{sha1}/"

A registry that several mail hosts share:

    [registry]
    url           = "redis+sentinel://s1.example.org,s2.example.org,s3.example.org/permalinks"
    password_file = "redis.password"

# FILES

*/etc/permalink-milter/permalink-milter.toml*
: the configuration that packages install

*/usr/share/doc/permalink-milter/config/example.toml*
: every key with its default

# ENVIRONMENT

**STATE_DIRECTORY**
: the default of state\_dir, set by systemd, see systemd.exec(5)

**PERMALINK_REDIS_PASSWORD**
: the password of Redis, if registry.password\_file is empty

# SEE ALSO

permalink(1), permalink-milter(8)
`

func TestManualPageOfTheConfiguration(t *testing.T) {
	var b strings.Builder
	b.WriteString(manHead)
	section := "-"
	for _, k := range config.Keys() {
		table := k.Path[:max(0, strings.LastIndexByte(k.Path, '.'))]
		if table != section {
			section = table
			fmt.Fprintf(&b, "\n# %s\n", title(table))
		}
		reload := ""
		if k.Reload {
			reload = " (SIGHUP)"
		}
		fmt.Fprintf(&b, "\n**%s**\n: %s Default: %s%s\n", strings.TrimPrefix(k.Path[len(table):], "."), escape(k.Doc), escape(k.Default), reload)
	}
	b.WriteString(manTail)
	golden.Equal(t, "permalink-milter.toml.5", string(md2man.Render([]byte(b.String()))))
}

// title returns the heading of a table.
func title(table string) string {
	switch table {
	case "":
		return "KEYS BEFORE THE FIRST TABLE"
	case "archive", "lmtp.domain":
		return "[[" + table + "]]"
	}
	return "[" + table + "]"
}

// escape escapes the characters of a text that have a meaning in Markdown.
func escape(s string) string {
	return strings.NewReplacer("*", `\*`, "[", `\[`, "]", `\]`, "<", `\<`, "_", `\_`, "{", `\{`, "}", `\}`).Replace(s)
}

func TestManualPagesAreSoundRoff(t *testing.T) {
	groff := need.Program(t, "groff", "groff-base")
	for _, page := range []string{"permalink-milter.8", "permalink-milter.toml.5"} {
		out, err := exec.Command(groff, "-man", "-ww", "-z", "-Tutf8", page).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", page, err, out)
		}
		text, _ := os.ReadFile(page)
		for _, section := range []string{"EXAMPLE", "FILES", "ENVIRONMENT"} {
			if !strings.Contains(string(text), "\n.SH "+section) {
				t.Errorf("%s has no %s", page, section)
			}
		}
	}
}
