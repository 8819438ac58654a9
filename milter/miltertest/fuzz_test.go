package miltertest_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"permalink-milter/milter/miltertest"
)

// limits are low, so that the fuzzer comes to them.
var limits = map[string]string{"max_header_fields": "20", "max_header_bytes": "1000"}

// check plays a stream to the server and compares its replies with the model's.
func (s *server) check(t *testing.T, stream []byte, split uint8) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	replies, err := miltertest.Play(ctx, s.dial(t), stream, int(split))
	if err != nil {
		t.Fatal(err)
	}
	if err := miltertest.Check(stream, replies, s.limit.MaxHeaderFields, s.limit.MaxHeaderBytes); err != nil {
		t.Error(err)
	}
	s.untilFree(t)
	if got := library.String(); got != "" {
		t.Errorf("go-milter complains: %s", got)
	}
}

func TestEachOptionBitAlone(t *testing.T) {
	script, err := miltertest.Parse("connect a 4 25 192.0.2.1\nhelo a\nmail <a>\nrcpt <devel@lists.example.org>\ndata\nunknown x\n" +
		"header Message-ID: <abc@example.org>\nheader Message-ID-MD5: FORGED\neoh\nbody x\neom\nmail <a>\nabort\nquit\n")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, nil)
	for bit := range 32 {
		for _, offer := range []miltertest.Negotiation{{Version: 6, Actions: 1 << bit}, {Version: 6, Actions: 0x11, Protocol: 1 << bit},
			{Version: 6, Actions: ^uint32(1 << bit), Protocol: ^uint32(1 << bit)}} {
			s.check(t, append(offer.Packet().Append(nil), script.Stream()...), 0)
		}
	}
}

// FuzzStream sends any bytes in any pieces. Seeds are what the cases send.
func FuzzStream(f *testing.F) {
	for _, script := range scripts(f) {
		f.Add(script.Stream(), uint8(0))
		f.Add(script.Stream(), uint8(1))
	}
	s := serve(f, limits)
	f.Fuzz(s.check)
}

// separator ends a packet in the input of FuzzPackets; the rest of a packet is its code and its data.
const separator = 0xff

// FuzzPackets sends any packets after any negotiation, so that the fuzzer need not find the lengths.
func FuzzPackets(f *testing.F) {
	for _, script := range scripts(f) {
		if offer, packets, ok := disassemble(script.Stream()); ok {
			f.Add(offer.Version, offer.Actions, offer.Protocol, packets, uint8(0))
		}
	}
	s := serve(f, limits)
	f.Fuzz(func(t *testing.T, version, actions, protocol uint32, packets []byte, split uint8) {
		stream := miltertest.Negotiation{Version: version, Actions: actions, Protocol: protocol}.Packet().Append(nil)
		for packet := range bytes.SplitSeq(packets, []byte{separator}) {
			if len(packet) > 0 {
				stream = miltertest.Packet{Code: packet[0], Data: packet[1:]}.Append(stream)
			}
		}
		s.check(t, stream, split)
	})
}

// disassemble turns a stream into what FuzzPackets takes.
func disassemble(stream []byte) (offer miltertest.Negotiation, packets []byte, ok bool) {
	r := bytes.NewReader(stream)
	for {
		p, err := miltertest.Read(r)
		switch {
		case err != nil:
			return offer, packets, offer.Version != 0
		case p.Code == 'O':
			offer, _, _ = miltertest.ParseNegotiation(p.Data)
		default:
			packets = append(append(append(packets, p.Code), p.Data...), separator)
		}
	}
}
