package main

import (
	"errors"
	"fmt"
	"slices"

	"permalink-milter/cmd/internal/faults"
)

// figures are what must not grow. The mean of the last third of the samples may be ratio times that of the first, and
// slack more.
var figures = []struct {
	name, unit string
	of         func(faults.Sample) int64
	ratio      float64
	slack      int64
}{
	{"memory", "KiB", func(s faults.Sample) int64 { return s.Memory >> 10 }, 1.25, 4 << 10},
	{"goroutines", "", func(s faults.Sample) int64 { return s.Goroutines }, 1.1, 10},
	{"descriptors", "", func(s faults.Sample) int64 { return s.Descriptors }, 1.1, 10},
}

// judge prints the figures and returns an error for those that grew.
func judge(samples []faults.Sample) (err error) {
	if len(samples) < 6 {
		return fmt.Errorf("%d samples are too few to judge", len(samples))
	}
	fmt.Printf("%-12s %10s %10s %10s %10s %12s %12s\n", "", "start", "middle", "end", "most", "first third", "last third")
	third := len(samples) / 3
	for _, f := range figures {
		var values []int64
		for _, s := range samples {
			values = append(values, f.of(s))
		}
		first, last := mean(values[:third]), mean(values[len(values)-third:])
		fmt.Printf("%-12s %10d %10d %10d %10d %12d %12d %s\n", f.name, values[0], values[len(values)/2], values[len(values)-1],
			slices.Max(values), first, last, f.unit)
		if float64(last) > float64(first)*f.ratio+float64(f.slack) {
			err = errors.Join(err, fmt.Errorf("%s grew from %d to %d %s", f.name, first, last, f.unit))
		}
	}
	fmt.Printf("mapped of the registry's file at the end: %d KiB\n", samples[len(samples)-1].File>>10)
	return err
}

func mean(values []int64) (sum int64) {
	for _, v := range values {
		sum += v
	}
	return sum / int64(len(values))
}
