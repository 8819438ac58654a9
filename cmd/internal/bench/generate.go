package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"

	"permalink-milter/hashheader"
)

// generate writes an mbox of about size bytes, the same for each seed: list
// mail with the header fields that relays and list managers leave behind, a
// third of it without hash, bodies from a few lines to attachments.
func generate(name string, size int64, seed uint64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	g := &generator{rand.New(rand.NewPCG(seed, seed)), out}
	for n, written := 0, int64(0); written < size; n++ {
		written += g.message(n)
	}
	return out.Flush()
}

type generator struct {
	*rand.Rand
	out io.Writer
}

func (g *generator) message(n int) (size int64) {
	id := fmt.Sprintf("%016x.%d@host%d.example.org", g.Uint64(), n, g.IntN(1000))
	put := func(format string, args ...any) {
		written, _ := fmt.Fprintf(g.out, format, args...)
		size += int64(written)
	}
	put("From sender%d@example.org Tue Nov 24 11:%02d:%02d 2026\n", n, g.IntN(60), g.IntN(60))
	for hop := range 3 + g.IntN(5) {
		put("Received: from relay%d.example.org (relay%d.example.org [192.0.2.%d])\n\tby mx%d.example.org (Postfix) with ESMTPS id %012X\n\tfor <devel@lists.example.org>; Tue, 24 Nov 2026 11:00:%02d +0000 (UTC)\n",
			hop, hop, g.IntN(255), hop+1, g.Uint64N(1<<48), g.IntN(60))
	}
	put("From: Sender %d <sender%d@example.org>\nTo: devel@lists.example.org\nSubject: [devel] Re: subject %d\nDate: Tue, 24 Nov 2026 11:%02d:00 +0000\n", n, n, n, g.IntN(60))
	put("Message-ID: <%s>\nList-Id: Developers <devel.lists.example.org>\nList-Post: <mailto:devel@lists.example.org>\n", id)
	if n%3 > 0 {
		hash, _ := hashheader.MD5.Hash([]byte(id))
		put("Message-ID-MD5: %s\nArchived-At: <https://lists.example.org/devel@lists.example.org/%s>\n", hash, hash)
	}
	put("MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n")
	lines := 5 + g.IntN(60)
	if n%50 == 0 {
		lines = 2000
	}
	for range lines {
		put("%s\n", text[g.IntN(1000):][:20+g.IntN(55)])
	}
	put("\n")
	return size
}

// text is what bodies are cut from.
var text = func() string {
	const words = "the list archive keeps every message under a name that anyone who holds it can compute. "
	var b []byte
	for len(b) < 2000 {
		b = append(b, words...)
	}
	return string(b)
}()
