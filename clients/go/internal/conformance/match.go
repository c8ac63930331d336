package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// fit says where a value differs from what is expected, or "" where it fits.
func fit(expected, actual any, path string) string {
	differs := func() string {
		return fmt.Sprintf("%s: expected %s, got %s", path, text(expected), text(actual))
	}
	switch want := expected.(type) {
	case map[string]any:
		have, ok := actual.(map[string]any)
		if !ok {
			return differs()
		}
		for _, key := range sorted(want) {
			if why := fit(want[key], have[key], join(path, key)); why != "" {
				return why
			}
		}
		return ""
	case []any:
		have, ok := actual.([]any)
		if !ok && actual != nil || len(want) == 0 && len(have) > 0 {
			return differs()
		}
		at := 0
		for _, element := range want {
			for at < len(have) && fit(element, have[at], path) != "" {
				at++
			}
			if at == len(have) {
				return differs()
			}
			at++
		}
		return ""
	case string:
		if want == "*" && actual != nil && actual != "" {
			return ""
		}
	}
	if expected == actual || isDefault(expected) && isDefault(actual) {
		return ""
	}
	return differs()
}

func isDefault(value any) bool {
	return value == nil || value == false || value == "" || value == float64(0)
}

// look finds what a path such as `response.sessions.0.sessionId` leads to.
func look(document any, path string) (string, error) {
	at := document
	for _, key := range strings.Split(path, ".") {
		switch value := at.(type) {
		case map[string]any:
			at = value[key]
		case []any:
			index, err := strconv.Atoi(key)
			if err != nil || index < 0 || index >= len(value) {
				return "", fmt.Errorf("%s: is not there", path)
			}
			at = value[index]
		default:
			return "", fmt.Errorf("%s: is not there", path)
		}
	}
	if found, ok := at.(string); ok && found != "" {
		return found, nil
	}
	return "", fmt.Errorf("%s: is not there", path)
}

// fill puts saved values in place of `${NAME}` in all strings.
func fill(value any, saved map[string]string) any {
	switch value := value.(type) {
	case string:
		for name, is := range saved {
			value = strings.ReplaceAll(value, "${"+name+"}", is)
		}
		return value
	case []any:
		filled := make([]any, len(value))
		for at, element := range value {
			filled[at] = fill(element, saved)
		}
		return filled
	case map[string]any:
		filled := make(map[string]any, len(value))
		for key, element := range value {
			filled[key] = fill(element, saved)
		}
		return filled
	default:
		return value
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func text(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}
