// Package architecture holds the rules of docs/architecture.md that a machine
// can check: which room may use which, who may start programs, how long a file
// may get, that every room says what it is for. It has tests only; `make lint`
// runs them. A rule that needs judgement belongs into the document, not here.
package architecture
