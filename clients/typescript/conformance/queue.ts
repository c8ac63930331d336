/** Holds what came until it is taken. */
export class Queue<T> {
  private readonly held: T[] = [];
  private waiting: ((value: T) => void) | undefined;

  /** Adds one. */
  put(value: T): void {
    if (this.waiting === undefined) this.held.push(value);
    else this.waiting(value);
    this.waiting = undefined;
  }

  /** Waits for the next one; undefined when none comes within so many milliseconds. For one at a time. */
  async take(patience: number): Promise<{ value: T } | undefined> {
    if (this.held.length > 0) return { value: this.held.shift() as T };
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.waiting = undefined;
        resolve(undefined);
      }, patience);
      this.waiting = (value) => {
        clearTimeout(timer);
        resolve({ value });
      };
    });
  }

  /** Takes all that there is. */
  left(): T[] {
    return this.held.splice(0);
  }
}
