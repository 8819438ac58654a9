package draft

import (
	"strings"
	"testing"

	"permalink-milter/hashheader"
)

// identities are the header sections of the appendix about claims. Those of one
// group, before the slash, are the same message, and those of different groups
// are different ones.
var identities = []struct{ name, header string }{
	{"dated/plain", "Message-ID: <abc@example.org>\nDate: Tue, 24 Nov 2026 11:00:00 +0000\n"},
	{"dated/folded", "date:\r\n\tTue, 24 Nov 2026\r\n 11:00:00  +0000 \r\nMESSAGE-ID:\r\n <abc@exam\r\n ple.org>\r\n"},
	{"dated/other-fields", "Received: x\nDate: Tue, 24 Nov 2026 11:00:00 +0000\nFrom: a@example.org\nMessage-ID: <abc@example.org>\nSubject: s\n"},
	{"dated/first-of-two", "Date: Tue, 24 Nov 2026 11:00:00 +0000\nMessage-ID: <>\nMessage-ID: <abc@example.org>\nDate: Tue, 24 Nov 2026 12:00:00 +0000\n"},
	{"zone/plain", "Message-ID: <abc@example.org>\nDate: Tue, 24 Nov 2026 12:00:00 +0100\n"},
	{"comment/plain", "Message-ID: <abc@example.org>\nDate: Tue, 24 Nov 2026 11:00:00 +0000 (UTC)\n"},
	{"dateless/missing", "Message-ID: <abc@example.org>\n"},
	{"dateless/empty", "Message-ID: <abc@example.org>\nDate: \n"},
	{"dateless/added", "Message-ID: <abc@example.org>\nDate: Tue, 24 Nov 2026 11:00:00 +0000 (added in transit)\n"},
	{"dateless/added-and-folded", "Message-ID: <abc@example.org>\nDate: Wed, 25 Nov 2026 11:00:00 +0000 (added\n\tin transit)\n"},
	{"collision-a/plain", "Message-ID: <TEXTCOLLBYfGiJUETHQ4hAcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak>\nDate: Tue, 24 Nov 2026 11:00:00 +0000\n"},
	{"collision-b/plain", "Message-ID: <TEXTCOLLBYfGiJUETHQ4hEcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak>\nDate: Tue, 24 Nov 2026 11:00:00 +0000\n"},
	{"8-bit/plain", "Message-ID: <gr\xfc@example.org>\nDate: Di, 24 M\xe4r 2026\n"},
}

func TestIdentitiesAppendix(t *testing.T) {
	var entries []string
	names := make(map[hashheader.Identity]string)
	for _, m := range identities {
		h := parse([]byte(m.header))
		id, err := h.MessageID()
		if err != nil {
			t.Fatal(err)
		}
		identity := hashheader.Identify(h, id, []string{"message-id", "date"})
		group, _, _ := strings.Cut(m.name, "/")
		if other, ok := names[identity]; ok && other != group {
			t.Errorf("%s has the identity of %s", m.name, other)
		}
		names[identity] = group
		hash, _ := hashheader.MD5.Hash(id)
		ref, err := hashheader.ParseReference(hash + "=" + identity.Claim())
		if err != nil || !ref.Claims(identity) {
			t.Errorf("%s: %s does not find the message, %v", m.name, ref, err)
		}
		entries = append(entries, m.name+"\n"+entryLine("header", escape(m.header))+entryLine("identity", identity.String())+entryLine("claim", ref.String()))
	}
	groups := make(map[string]bool)
	for _, group := range names {
		groups[group] = true
	}
	if len(names) != len(groups) {
		t.Errorf("%d identities in %d groups", len(names), len(groups))
	}
	generated(t, "identities.txt", strings.Join(entries, "\n"))
}

func TestPythonAgreesWithTheIdentities(t *testing.T) {
	if out := python(t, "", "identities", dir+"/identities.txt"); !strings.Contains(out, "13 vectors agree, 0 disagree") {
		t.Error(out)
	}
}
