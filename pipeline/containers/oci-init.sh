#!/bin/sh
# Process 1 of a container of Docker or podman: waits, and takes in what lost its parent.
# It ends when the engine removes the container.
while :; do
	sleep 3600 &
	wait
done
