package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"permalink-milter/cmd/internal/hosts"
	"permalink-milter/hashheader"
	"permalink-milter/milter/mtatest"
	"permalink-milter/registry/redisreg/redistest"
)

// pair is two mail hosts on one Redis.
type pair struct {
	redis *redistest.Server
	hosts []*hosts.Host
}

// runRedis shows that two hosts on one Redis agree, and what becomes of mail
// while it is stopped.
func runRedis(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "permalink-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin, err := mtatest.BuildDaemon(ctx, dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var p pair
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := p.start(ctx, bin, dir); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{p.agree, p.collide, p.outage, p.recovery} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	fmt.Println("\nboth hosts gave each message the same permalink, with Redis and without")
	return nil
}

func (p *pair) start(ctx context.Context, bin, dir string) (err error) {
	if p.redis, err = redistest.Start(filepath.Join(dir, "redis"), "--appendonly", "yes"); err != nil {
		return err
	}
	fmt.Println("Redis listens on", p.redis.Addr())
	for _, name := range []string{"mx1", "mx2"} {
		h, err := hosts.Start(ctx, name)
		if err != nil {
			return err
		}
		p.hosts = append(p.hosts, h)
		if err := h.StartDaemon(ctx, bin, dir, hosts.Registry{URL: "redis://" + p.redis.Addr()}); err != nil {
			return err
		}
		fmt.Printf("%s: a private Postfix on %s, and permalink-milter\n", name, h.Addr())
	}
	return nil
}

func (p *pair) stop() (err error) {
	for _, h := range p.hosts {
		err = errors.Join(err, h.Stop())
	}
	if p.redis != nil {
		p.redis.Stop()
	}
	return err
}

func (p *pair) agree(ctx context.Context) error {
	fmt.Println("\n1. a message goes through both hosts")
	return p.pass(ctx, 0, 1)
}

func (p *pair) collide(ctx context.Context) error {
	fmt.Println("\n2. another message with its Message-ID, of another date")
	return p.pass(ctx, 1, 2)
}

func (p *pair) outage(ctx context.Context) error {
	p.redis.Stop()
	fmt.Println("\n3. Redis is stopped; a message goes through both hosts")
	if err := p.pass(ctx, 2, 1); err != nil {
		return err
	}
	for _, h := range p.hosts {
		m, err := h.Metrics(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("   %s  journalled %v\n", h.Name, m["journal_records"])
	}
	return nil
}

func (p *pair) recovery(ctx context.Context) error {
	if err := p.redis.Restart(); err != nil {
		return err
	}
	fmt.Println("\n4. Redis is started again")
	for _, h := range p.hosts {
		if err := h.WaitReplayed(ctx); err != nil {
			return err
		}
		m, err := h.Metrics(ctx)
		if err != nil {
			return err
		}
		same, conflicts := m[`replayed_total{result="same"}`], m[`replayed_total{result="conflict"}`]
		fmt.Printf("   %s  replayed %v, conflicts %v\n", h.Name, same+conflicts, conflicts)
		if same != 1 || conflicts != 0 {
			return fmt.Errorf("%s replayed %v as stamped and found %v conflicts, want 1 and 0", h.Name, same, conflicts)
		}
	}
	return nil
}

// pass sends a message through both hosts and shows its permalinks. They must
// be one, of the hash's given ordinal.
func (p *pair) pass(ctx context.Context, m hosts.Message, ordinal int) error {
	for _, h := range p.hosts {
		h.Sink.Reset()
		if err := h.Send(ctx, m.Mail()); err != nil {
			return err
		}
		got, err := h.Sink.Wait(ctx, 1)
		if err != nil {
			return err
		}
		fmt.Printf("   %s  %s: %s\n", h.Name, hashheader.ArchivedAtField, strings.Join(got[0].Header(hashheader.ArchivedAtField), " "))
		d, err := hosts.ReadDelivery(got[0])
		if err != nil {
			return err
		}
		if want := m.Token(ordinal); d.Token != want {
			return fmt.Errorf("%s gave the token %q, want %s", h.Name, d.Token, want)
		}
	}
	return nil
}
