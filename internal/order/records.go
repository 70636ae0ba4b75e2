package order

import (
	"context"
	"maps"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/product"
)

// maxRecords bounds what a data source may find for one order. The product
// decides by the request's own values among them; more is no lookup but a list.
const maxRecords = 100

// records asks the product's data source for what the order is about (A77). An
// order can say only what to look for, never what was found.
func (e *Engine) records(ctx context.Context, p *product.Product, lookup map[string]string) (product.Rows, error) {
	data := p.Definition.Data
	if data.Source == "" {
		return nil, nil
	}
	source := e.Settings.Sources[data.Source]
	if source == nil {
		return nil, fault.Conflictf("order.source", "The product %q takes its records from %q, which is not configured here.", p.Name, data.Source).WithNext("Name it in the file of pki.data_sources.")
	}
	words := maps.Clone(lookup)
	if words == nil {
		words = map[string]string{}
	}
	maps.Copy(words, data.Parameters) // what the product says cannot be overruled
	rows, err := source.Find(ctx, words, maxRecords+1)
	switch {
	case err != nil:
		return nil, fault.Wrap(err, "look into the data source "+data.Source)
	case len(rows) == 0:
		return nil, fault.Invalidf("order.no_record", "The data source of the product %q has no such record.", p.Name).WithField("lookup")
	case len(rows) > maxRecords:
		return nil, fault.Invalidf("order.records", "The data source of the product %q has more than %d records for that.", p.Name, maxRecords).WithNext("Say more precisely what to look for.").WithField("lookup")
	}
	return rows, nil
}
