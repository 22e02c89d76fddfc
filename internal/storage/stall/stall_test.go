package stall

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestMeter(t *testing.T) {
	limit := Limit{Window: time.Minute, Bytes: 100}
	tests := []struct {
		name  string
		do    func(*Meter)
		fires bool
	}{
		{"nothing comes", func(m *Meter) { m.Start(); time.Sleep(61 * time.Second) }, true},
		{"a drip", func(m *Meter) {
			m.Start()
			for range 61 {
				m.Add(1)
				time.Sleep(time.Second)
			}
		}, true},
		{"enough", func(m *Meter) {
			m.Start()
			for range 300 {
				m.Add(2)
				time.Sleep(time.Second)
			}
		}, false},
		{"first much, then nothing", func(m *Meter) {
			m.Start()
			m.Add(1000)
			time.Sleep(121 * time.Second)
		}, true},
		{"a slow reader", func(m *Meter) {
			for range 100 {
				m.Start()
				time.Sleep(100 * time.Millisecond)
				m.Pause()
				time.Sleep(time.Hour)
			}
		}, false},
		{"waiting adds up", func(m *Meter) {
			for range 100 {
				m.Start()
				time.Sleep(time.Second)
				m.Pause()
			}
		}, true},
		{"ended", func(m *Meter) { m.Start(); m.Stop(); m.Start(); time.Sleep(time.Hour) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []error
				m := Watch(limit, func(err error) { got = append(got, err) })
				tt.do(m)
				synctest.Wait()
				m.Stop()
				if tt.fires != (len(got) == 1 && errors.Is(got[0], ErrStalled)) || len(got) > 1 {
					t.Errorf("aborted with %v, want an abort: %v", got, tt.fires)
				}
			})
		})
	}
}
