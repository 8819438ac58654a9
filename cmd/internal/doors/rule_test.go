package doors

import (
	"bytes"
	cryptomd5 "crypto/md5"
	cryptosha1 "crypto/sha1"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/headertest"
	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

// ruleDoor answers by the rules of the draft in other words than hashheader's.
// It knows neither derived ids nor lists.
func ruleDoor(_ testing.TB, data []byte) answer {
	h, isOver := headertest.Read(data)
	canonical := idOf(h)
	switch {
	case isOver:
		return unnamed(over)
	case len(canonical) > 998:
		return unnamed(tooLong)
	case canonical == "":
		return answer{own: none}
	}
	a := answer{}
	a.setName(false)
	a.setID(canonical)
	sum5, sum1 := cryptomd5.Sum([]byte(canonical)), cryptosha1.Sum([]byte(canonical))
	a[md5], a[sha1] = unpadded.EncodeToString(sum5[:]), unpadded.EncodeToString(sum1[:])
	date, _ := h.First("Date")
	date = strings.NewReplacer(" ", "", "\t", "", "\n", "", "\r", "").Replace(date)
	if strings.HasSuffix(date, "(addedintransit)") {
		date = ""
	}
	sum256 := sha256.Sum256([]byte("date:" + date + "\nmessage-id:" + canonical + "\n"))
	a[identity] = hex.EncodeToString(sum256[:16])
	a[devel] = tokenSite + "devel@lists.example.org/" + a[md5]
	return a
}

var unpadded = base32.StdEncoding.WithPadding(base32.NoPadding)

// bare returns the permalink that needs no registry.
func bare(r registry.Request) (registry.Result, error) {
	return registry.Result{Reservation: registry.Reservation{List: r.List, Hash: r.Hash, Ordinal: 1, Identity: r.Identity}}, nil
}

// stampDoor reads with hashheader and decides with stamp.
func stampDoor(policy *stamp.Policy) func(testing.TB, []byte) answer {
	return func(t testing.TB, data []byte) answer {
		h, err := hashheader.ReadHeader(bytes.NewReader(data))
		if err != nil {
			return because(err.Error())
		}
		canonical, isDerived, err := h.NameID()
		if err != nil {
			return because(err.Error())
		}
		a := answer{}
		a.setName(isDerived)
		a.setID(string(canonical))
		a[md5], _ = hashheader.MD5.Hash(canonical)
		a[sha1], _ = hashheader.SHA1.Hash(canonical)
		a[identity] = hashheader.Identify(h, canonical, policy.Identity).String()
		d := stamp.Decide(&stamp.Message{Header: h}, policy, bare)
		if !bytes.Equal(d.MessageID, canonical) || d.Identity.String() != a[identity] || d.Derived != isDerived {
			t.Errorf("%q: stamp decides otherwise than hashheader: %+v", data, d)
		}
		a.setLinks(urls(d))
		return a
	}
}

func urls(d stamp.Decision) (out []string) {
	for _, s := range d.Stamps {
		out = append(out, s.URL)
	}
	return out
}
