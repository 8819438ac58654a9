// Command permalink is the tool for people who hold messages: it hashes their
// Message-IDs.
package main

import (
	"fmt"
	"io"
	"os"
)

// Exit codes; usage is sysexits.h's.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 64
)

const usage = `usage: permalink hash [--algorithm md5|sha1|sha256] [FILE|-]...
       permalink hash [--algorithm md5|sha1|sha256] --message-id ID
`

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is main without the process.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "hash" {
		return hash(args[1:], stdin, stdout, stderr)
	}
	fmt.Fprint(stderr, usage)
	return exitUsage
}
