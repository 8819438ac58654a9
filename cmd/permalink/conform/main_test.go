package conform

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/registry/stamp"
)

// envFault makes the test binary a hash command with a fault.
const envFault = "CONFORM_FAULT"

func TestMain(m *testing.M) {
	if fault, ok := os.LookupEnv(envFault); ok {
		hashCommand(fault)
		return
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // of the hash command, which runs hundreds of times: a second each otherwise
	os.Exit(m.Run())
}

// hashCommand is an implementation of the hash profile. The fault is the
// identifier of the requirement that it breaks.
func hashCommand(fault string) {
	var data bytes.Buffer
	data.ReadFrom(os.Stdin)
	text := data.String()
	if fault == "SEC-1" {
		text = skipJunk(text)
	}
	h, err := hashheader.ReadHeader(strings.NewReader(text))
	if err != nil {
		if fault == "SEC-2" {
			fmt.Println("Message-ID-SHA256: " + named("", "", "x@y").Hashes[nameSHA256])
		}
		return
	}
	value, _ := h.First("Message-ID")
	id, err := h.MessageID()
	switch {
	case fault == "ID-1":
		id = []byte(strings.Trim(value, " <>\r\n\t"))
	case fault == "ID-2" && err != nil:
		id = hashheader.Canonical(nil, value)
	case err != nil:
		return
	}
	hashes := named("", "", string(id)).Hashes
	if wrong, ok := h.First("Message-ID-Hash"); ok && fault == "LEG-1" {
		hashes[nameSHA1] = strings.TrimSpace(wrong)
	}
	for name, hash := range hashes {
		if !(fault == "ALG-1" && name == nameSHA256) && !(fault == "ALG-2" && name == nameMD5) {
			fmt.Println(name + ": " + hash)
		}
	}
	fields := []string{"message-id", "date"}
	if fault == "IDN-1" {
		fields = []string{"message-id", "date", "subject"}
	}
	fmt.Println("Result: " + string(verified(h, fault)))
	identity := hashheader.Identify(h, id, fields)
	fmt.Println("Identity: " + hex.EncodeToString(identity[:]))
	if len(id) > 0 {
		fmt.Println("Claim: " + hashes[nameMD5] + "=" + identity.Claim())
		printLink(h, id, identity, fault)
	}
}

// verified returns the result of the field Message-ID-SHA256.
func verified(h hashheader.Header, fault string) hashheader.Result {
	value, _ := h.First(nameSHA256)
	_, malformed := hashheader.SHA256.ParseHash(value)
	padded := strings.Contains(value, "=") || strings.ToUpper(value) != value
	switch {
	case fault == "ALG-3" && padded, fault == "NAM-3" && h[0].Is(nameSHA256):
		return hashheader.PermError
	case fault == "ALG-4" && malformed != nil, fault == "VER-1" && h.Count(nameSHA256) > 1:
		return hashheader.Pass
	}
	for _, c := range hashheader.Examine(h, hashheader.Site{}) {
		if c.Method == hashheader.MethodHash && c.Field == nameSHA256 {
			return c.Result
		}
	}
	return hashheader.None
}

// skipJunk leaves out what is no field and goes on behind it.
func skipJunk(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, ":") || strings.TrimLeft(line, " \t") != line {
			b.WriteString(line)
		}
	}
	return b.String()
}

func printLink(h hashheader.Header, id []byte, identity hashheader.Identity, fault string) {
	template := os.Getenv(envTemplate)
	if template == "" {
		return
	}
	switch fault {
	case "URL-1":
		template = strings.ReplaceAll(template, "{message_id}", "{message_id:query}")
	case "URL-2":
		template = strings.ReplaceAll(template, ":query", "")
	}
	parsed, err := hashheader.ParseTemplate(template)
	if err != nil {
		panic(err)
	}
	list, err := hashheader.CheckList(os.Getenv(envList))
	if err != nil {
		panic(err)
	}
	p := hashheader.Permalink{List: list, ListID: stamp.ListID(h, list), MessageID: id, Algorithm: hashheader.MD5, Identity: identity}
	p.Date, _ = h.First("Date")
	url, err := parsed.Expand(p)
	if err != nil && fault == "URL-3" {
		p.Date = "Tue, 24 Nov 2026 11:00:00 +0000"
		url, err = parsed.Expand(p)
	}
	if err == nil {
		fmt.Println("Archived-At: " + url)
	}
}
