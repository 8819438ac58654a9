// Command redirect redirects by a map that it reads from standard input, a path and its URL a line: the least that a
// resolver on net/http does. usage: redirect ADDRESS
package main

import (
	"bufio"
	"log"
	"net/http"
	"os"
	"strings"
)

func main() {
	targets := make(map[string]string)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		path, url, _ := strings.Cut(lines.Text(), " ")
		targets[path] = url
	}
	log.Fatal(http.ListenAndServe(os.Args[1], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		url, ok := targets[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.Redirect(w, r, url, http.StatusMovedPermanently)
	})))
}
