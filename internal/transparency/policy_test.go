package transparency

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

func operators(names ...string) (out []*known) {
	for _, n := range names {
		out = append(out, &known{Log: Log{Name: n, Operator: n[:1]}})
	}
	return out
}

func TestTheBestSetThatFulfilsThePolicyIsPicked(t *testing.T) {
	for _, c := range []struct {
		name             string
		need             need
		base, candidates []*known
		want             string
		fulfilled        bool
	}{
		{"the first two", need{2, 2}, nil, operators("a1", "b1", "c1"), "a1 b1 ", true},
		{"the second of one operator is passed over", need{2, 2}, nil, operators("a1", "a2", "b1"), "a1 b1 ", true},
		{"there is room for it among three", need{3, 2}, nil, operators("a1", "a2", "a3", "b1"), "a1 a2 b1 ", true},
		{"what is there counts", need{2, 2}, operators("b2"), operators("b1", "a1"), "a1 ", true},
		{"nothing is missing", need{2, 2}, operators("a1", "b1"), operators("c1"), "", true},
		{"enough logs, but of one operator", need{2, 2}, operators("a1", "a2"), operators("a3", "b1"), "b1 ", true},
		{"not enough, yet worth asking", need{3, 2}, nil, operators("a1", "b1"), "a1 b1 ", false},
		{"a second one that would not help", need{2, 2}, operators("a1"), operators("a2"), "", false},
		{"nobody", need{1, 1}, nil, nil, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			pick, fulfilled := c.need.complete(c.base, c.candidates)
			got := ""
			for _, k := range pick {
				got += k.Name + " "
			}
			if got != c.want || fulfilled != c.fulfilled {
				t.Errorf("picked %q, %v", got, fulfilled)
			}
		})
	}
}

// complete says yes exactly when all candidates together would fulfil the need,
// and picks none in vain.
func TestPickingIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) []*known {
			return operators(rapid.SliceOfN(rapid.SampledFrom([]string{"a1", "b1", "c1"}), 0, 5).Draw(t, label)...)
		}
		n := need{rapid.IntRange(1, 4).Draw(t, "logs"), rapid.IntRange(1, 3).Draw(t, "operators")}
		n.logs = max(n.logs, n.operators)
		base, candidates := draw("base"), draw("candidates")
		fulfils := func(logs []*known) bool {
			seen := map[string]bool{}
			for _, l := range logs {
				seen[l.Operator] = true
			}
			return len(logs) >= n.logs && len(seen) >= n.operators
		}
		pick, ok := n.complete(base, candidates)
		all := append(append([]*known(nil), base...), candidates...)
		with := append(append([]*known(nil), base...), pick...)
		if ok != fulfils(all) || ok != fulfils(with) {
			t.Fatalf("complete says %v; all of them fulfil: %v, the picked: %v", ok, fulfils(all), fulfils(with))
		}
		if ok && len(pick) > 0 && fulfils(with[:len(with)-1]) {
			t.Fatal("the last one was picked in vain")
		}
	})
}

func TestThePolicyGoesByTheLifetime(t *testing.T) {
	p, err := Policy{}.filled()
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
	for life, want := range map[time.Duration]int{day: 2, 180*day - time.Second: 2, 180 * day: 3, 398 * day: 3} {
		if n := p.need(from, from.Add(life)); n.logs != want || n.operators != 2 {
			t.Errorf("%s: %+v", life, n)
		}
	}
	if p, err = (Policy{Short: 1, Operators: 3, ShortLifetime: day}).filled(); err != nil || p.need(from, from).logs != 3 {
		t.Errorf("as many logs as operators at least: %+v, %v", p, err)
	}
	if _, err := (Policy{Long: -1}).filled(); fault.Of(err).Code != "transparency.policy" {
		t.Errorf("a negative number: %v", err)
	}
}
