package recovery

import (
	"maps"

	"lifeboat/internal/component"
)

// SchemaFacts are the identity facts that follow from the schema of the data that
// a captured component holds; none where that is not known. What is restored is
// the data, so it is the data's schema that an installed product must take:
// the packages of the lost machine may have been updated and not started yet.
func SchemaFacts(catalog *Catalog, record component.Record) map[string]string {
	kind := catalog.Kinds[record.Kind]
	if kind.Schema == nil || record.Status != component.StatusCaptured {
		return nil
	}
	name, version := kind.Schema(record)
	p, known := catalog.Products[name]
	if !known || p.Facts == nil || version == "" {
		return nil
	}
	return p.Facts(version)
}

// identity is what the point says of the lost machine, corrected by the data in it.
func (r *Recovery) identity() map[string]string {
	then := map[string]string{}
	maps.Copy(then, r.Manifest.Identity)
	for _, record := range r.Manifest.Components {
		maps.Copy(then, SchemaFacts(r.Catalog, record))
	}
	return then
}
