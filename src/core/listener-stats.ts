/** A place at which MQTT clients arrive. */
export interface ListenerStats {
  readonly name: string;
  /** `mqtts://0.0.0.0:8883`, `ws://127.0.0.1:8083/mqtt`, `mqtt+unix:///run/mqtt.sock` */
  readonly address: string;
  /** That are open. */
  readonly connections: number;
  /** Those of them that MQTT has not begun on. */
  readonly handshakes: number;
  readonly accepted: number;
  /** Closed at once because there were too many. */
  readonly refused: number;
  /** Closed because of what came before MQTT. */
  readonly failed: number;
}
