// Command conformance runs clients/conformance/scenario.json against a gateway.
//
//	go run ./internal/conformance ADDRESS SCENARIO [CASE...]
//
// It says `ok NAME` or `FAIL NAME: why` for each case and exits with 1 when one failed. The format of the scenario is
// told in clients/conformance/README.md.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: conformance ADDRESS SCENARIO [CASE...]")
		os.Exit(64)
	}
	text, err := os.ReadFile(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(66)
	}
	var all scenario
	if err := json.Unmarshal(text, &all); err != nil {
		fmt.Fprintf(os.Stderr, "conformance: %s: %v\n", os.Args[2], err)
		os.Exit(65)
	}
	wanted, passed, failed := os.Args[3:], 0, 0
	for _, each := range all.Cases {
		if len(wanted) > 0 && !slices.Contains(wanted, each.Name) {
			continue
		}
		if err := run(os.Args[1], all.Tokens, each); err != nil {
			fmt.Printf("FAIL %s: %v\n", each.Name, err)
			failed++
			continue
		}
		fmt.Printf("ok %s\n", each.Name)
		passed++
	}
	fmt.Printf("%d ok, %d failed\n", passed, failed)
	if failed > 0 || passed == 0 {
		os.Exit(1)
	}
}
