// Package repository is restic's repository format, version 2, from its
// published description: keys, packs, index, trees, snapshots, locks. Stock
// restic reads, checks and restores what is written here, and the reverse. No
// profile, component or recovery point may enter: this room stores trees.
package repository
