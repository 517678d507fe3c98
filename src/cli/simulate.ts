import { connect, type MqttClient } from "mqtt";
import { once } from "../core/lifecycle.ts";
import { type Device, seededRandom, simulatedDevices } from "./simulate-devices.ts";

const RECONNECT_MS = 1_000;
/** A real sensor has little memory: what it cannot get rid of is lost. */
const IN_FLIGHT_MAX = 16;
const END_MS_MAX = 500;

export interface SimulatorOptions {
  /** `mqtt://HOST:PORT` */
  readonly url: string;
  /** The same seed gives the same sensors; 1. */
  readonly seed?: number;
}

/** Sensors that publish until they are stopped. They connect again for ever, each by itself. */
export interface Simulator extends AsyncDisposable {
  readonly devices: number;
  /** Messages that the broker has acknowledged. */
  sent(): number;
  /** Measurements that had no way out. */
  dropped(): number;
  close(): Promise<void>;
}

export function startSimulator({ url, seed = 1 }: SimulatorOptions): Simulator {
  const random = seededRandom(seed);
  const sensors = simulatedDevices(random).map((device) => new Sensor(device, url));
  const sum = (of: (sensor: Sensor) => number): number => sensors.reduce((total, sensor) => total + of(sensor), 0);
  const close = once(async () => {
    await Promise.all(sensors.map((sensor) => sensor.close()));
  });
  return {
    devices: sensors.length,
    sent: () => sum(({ sent }) => sent),
    dropped: () => sum(({ dropped }) => dropped),
    close,
    [Symbol.asyncDispose]: close,
  };
}

class Sensor {
  readonly #device: Device;
  readonly #client: MqttClient;
  readonly #timer: NodeJS.Timeout;
  #inFlight = 0;
  sent = 0;
  dropped = 0;

  constructor(device: Device, url: string) {
    this.#device = device;
    this.#client = connect(url, { clientId: device.id, protocolVersion: 5, reconnectPeriod: RECONNECT_MS, connectTimeout: 5_000 });
    // What goes wrong shows as a lost connection, and that is tried again for ever.
    this.#client.on("error", () => {});
    this.#timer = setInterval(() => this.#publish(), device.periodMs);
  }

  #publish(): void {
    const payload = this.#device.measure(Date.now());
    if (!this.#client.connected || this.#inFlight >= IN_FLIGHT_MAX) {
      this.dropped++;
      return;
    }
    this.#inFlight++;
    this.#client.publish(this.#device.topic, payload, { qos: 1 }, (error) => {
      this.#inFlight--;
      if (error) this.dropped++;
      else this.sent++;
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    const impatient = setTimeout(() => this.#client.stream.destroy(), END_MS_MAX);
    await this.#client.endAsync(true);
    clearTimeout(impatient);
  }
}
