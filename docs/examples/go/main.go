// Call an API with the token of one credential:  go run . ID URL
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
)

func call(store *redis.Client, id string, request *http.Request) (*http.Response, error) {
	refused, asked := "", ""
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(250 * time.Millisecond) {
		found, err := store.HGetAll(request.Context(), "refreshd:token:"+id).Result()
		if err != nil {
			return nil, err
		}
		if found["access_token"] == "" || found["generation"] == refused {
			if refused != asked { // read again, and still the same: ask for a refresh, once
				entry := []string{"id", id, "generation", refused}
				err = store.XAdd(request.Context(), &redis.XAddArgs{Stream: "refreshd:requests", MaxLen: 1000, Approx: true, Values: entry}).Err()
				if err != nil {
					return nil, err
				}
			}
			asked = refused
			continue
		}
		request.Header.Set("Authorization", "Bearer "+found["access_token"])
		answer, err := http.DefaultClient.Do(request)
		if err != nil || answer.StatusCode != http.StatusUnauthorized {
			return answer, err
		}
		answer.Body.Close()
		refused, until = found["generation"], time.Now().Add(10*time.Second) // only a newer token is worth a call
	}
	return nil, fmt.Errorf("no token of %s was accepted within 10 s; see refreshd:status:%s", id, id)
}

func main() {
	url := os.Getenv("REDIS_URL")
	if url == "" {
		url = "redis://127.0.0.1:6379/0"
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		log.Fatal(err)
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, os.Args[2], nil)
	if err != nil {
		log.Fatal(err)
	}
	answer, err := call(redis.NewClient(options), os.Args[1], request)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
		log.Fatal(err)
	}
}
