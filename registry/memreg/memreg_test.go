package memreg_test

import (
	"testing"

	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/registrytest"
)

func TestSuite(t *testing.T) {
	registrytest.Run(t, func(*testing.T) registry.Store { return memreg.New() })
}

func TestAnUnreadableEntryHidesNoOther(t *testing.T) {
	registrytest.Unreadable(t, memreg.New(), registrytest.Spoil)
}
