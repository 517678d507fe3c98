/** An MQTT broker under test, on 127.0.0.1. */
export interface Broker {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  /** What its main process is called in the rows. */
  readonly label: string;
}
